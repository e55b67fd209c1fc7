/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "enrich/processes.h"

#include <unistd.h>

/* Numbers above pid_max, so that /proc has nothing to say. */
enum { SHELL = 5000001, MAKE, CC, OTHER };
#define S 1000000000ULL

static void fork_of(struct processes *p, uint32_t pid, uint64_t start_ns, uint32_t ppid,
		    const char *name)
{
	char comm[16] = { 0 };

	memcpy(comm, name, strlen(name));
	processes_fork(p, pid, start_ns, ppid, comm);
}

static void exec_of(struct processes *p, uint32_t pid, uint64_t start_ns, uint64_t at_ns,
		    const char *exe)
{
	char comm[16] = { 0 }, args[64];
	size_t len = strlen(exe);

	memcpy(comm, path_base(exe), strlen(path_base(exe)));
	memcpy(args, exe, len + 1);
	memcpy(args + len + 1, "-x", 2);
	processes_exec(p, pid, start_ns, 1, comm, at_ns, exe, len, args, len + 3);
}

static const char *exe_at(struct processes *p, uint32_t pid, uint64_t start_ns, uint64_t at_ns)
{
	const struct image *image = processes_image(p, pid, start_ns, at_ns);

	return image ? image->exe : NULL;
}

TEST(a_child_runs_what_its_parent_ran_until_it_execs)
{
	auto_ptr(processes) p = processes_new(100);
	const struct image *image;

	exec_of(p, SHELL, 1 * S, 2 * S, "/bin/sh");
	fork_of(p, MAKE, 5 * S, SHELL, "sh");
	CHECK_STR(exe_at(p, MAKE, 5 * S, 5 * S), "/bin/sh");
	exec_of(p, MAKE, 5 * S, 6 * S, "/bin/make");
	CHECK_STR(exe_at(p, MAKE, 5 * S, 6 * S), "/bin/make");
	CHECK_STR(exe_at(p, SHELL, 1 * S, 7 * S), "/bin/sh");
	image = processes_image(p, MAKE, 5 * S, 7 * S);
	REQUIRE(image && image->args_len == 12);
	CHECK_MEM(image->args, "/bin/make\0-x", 12);
}

/* Rows of different rings come out of order: each is joined to what ran when it happened. */
TEST(late_rows_get_the_program_of_their_time)
{
	auto_ptr(processes) p = processes_new(100);

	exec_of(p, CC, 1 * S, 2 * S, "/bin/sh");
	exec_of(p, CC, 1 * S, 3 * S, "/bin/cc");
	exec_of(p, CC, 1 * S, 4 * S, "/bin/ld");
	CHECK_STR(exe_at(p, CC, 1 * S, 2 * S + 1), "/bin/sh");
	CHECK_STR(exe_at(p, CC, 1 * S, 3 * S), "/bin/cc");
	CHECK_STR(exe_at(p, CC, 1 * S, 4 * S - 1), "/bin/cc");
	CHECK_STR(exe_at(p, CC, 1 * S, 9 * S), "/bin/ld");
	CHECK_STR(exe_at(p, CC, 1 * S, 1 * S), NULL);
	/* only so many are remembered; the oldest is not mistaken for another */
	exec_of(p, CC, 1 * S, 5 * S, "/bin/a");
	exec_of(p, CC, 1 * S, 6 * S, "/bin/b");
	CHECK_STR(exe_at(p, CC, 1 * S, 2 * S), NULL);
	CHECK_STR(exe_at(p, CC, 1 * S, 3 * S), "/bin/cc");
}

TEST(a_number_that_is_used_again_is_another_process)
{
	auto_ptr(processes) p = processes_new(100);

	exec_of(p, OTHER, 1 * S, 2 * S, "/bin/old");
	CHECK_STR(exe_at(p, OTHER, 8 * S, 9 * S), NULL);
	exec_of(p, OTHER, 8 * S, 9 * S, "/bin/new");
	CHECK_STR(exe_at(p, OTHER, 8 * S, 9 * S), "/bin/new");
	CHECK_STR(exe_at(p, OTHER, 1 * S, 2 * S), NULL);
}

static const char *parents_of(struct processes *p, uint32_t pid)
{
	return strbuf_str(processes_parents(p, pid));
}

TEST(parents_are_told_nearest_first)
{
	auto_ptr(processes) p = processes_new(100);

	fork_of(p, SHELL, 1 * S, 0, "sh");
	fork_of(p, MAKE, 2 * S, SHELL, "make");
	fork_of(p, CC, 3 * S, MAKE, "cc");
	CHECK_STR(parents_of(p, CC), "cc(5000003) < make(5000002) < sh(5000001)");
	CHECK_STR(parents_of(p, 0), "");
}

/* What was told is kept, but not beyond an exec or a fork that changes it. */
TEST(parents_are_those_of_now)
{
	auto_ptr(processes) p = processes_new(100);

	fork_of(p, SHELL, 1 * S, 0, "sh");
	fork_of(p, MAKE, 2 * S, SHELL, "sh");
	CHECK_STR(parents_of(p, MAKE), "sh(5000002) < sh(5000001)");
	CHECK_STR(parents_of(p, MAKE + 16), "");
	CHECK_STR(parents_of(p, MAKE), "sh(5000002) < sh(5000001)");
	processes_exec(p, MAKE, 2 * S, SHELL, (char[16]){ "make" }, 3 * S, "/bin/make", 9, "", 0);
	CHECK_STR(parents_of(p, MAKE), "make(5000002) < sh(5000001)");
	fork_of(p, MAKE, 9 * S, 0, "other");
	CHECK_STR(parents_of(p, MAKE), "other(5000002)");
}

/* A ring of parents, as broken data could make one, has an end. */
TEST(parents_have_an_end)
{
	auto_ptr(processes) p = processes_new(100);

	fork_of(p, SHELL, 1 * S, MAKE, "a");
	fork_of(p, MAKE, 2 * S, SHELL, "b");
	CHECK_INT(strlen(parents_of(p, SHELL)), 16 * strlen("a(5000001)") + 15 * strlen(" < "));
}

TEST(memory_is_bounded)
{
	auto_ptr(processes) p = processes_new(10);

	for (uint32_t i = 0; i < 1000; i++)
		exec_of(p, SHELL + i, 1 * S, 2 * S, "/bin/sh");
	CHECK_STR(exe_at(p, SHELL, 1 * S, 2 * S), NULL);
	CHECK_STR(exe_at(p, SHELL + 999, 1 * S, 2 * S), "/bin/sh");
}

TEST(what_already_runs_is_read_from_proc)
{
	auto_ptr(processes) p = processes_new(10000);
	char exe[4096] = { 0 }, want[32];
	struct err e;

	REQUIRE(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	REQUIRE(processes_prime(p, &e) == 0);
	str_format(want, sizeof(want), "processes_test(%d)", getpid());
	CHECK(str_startswith(parents_of(p, (uint32_t)getpid()), want));
	CHECK_HAS(parents_of(p, (uint32_t)getpid()), " < ");
}
