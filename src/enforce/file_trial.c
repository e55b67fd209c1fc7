/* SPDX-License-Identifier: BSD-2-Clause */
/* The trial: sonda denies itself two files of its own, and sees whether it is obeyed. */
#include "enforce/file_trial.h"

#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/weight.h"
#include "enforce/enforce.h"
#include "enforce/file_hooks.h"
#include "enforce/guard.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COST_RUNS = 500 };

struct place {
	char dir[64], file[80], other[80];
	int fd; /* of `file`, opened while it may be */
};

/* ---- what is tried ---- */

static int try_read(const struct place *p)
{
	return open(p->file, O_RDONLY | O_CLOEXEC);
}

static int try_write(const struct place *p)
{
	return open(p->file, O_WRONLY | O_CLOEXEC);
}

static int try_map(const struct place *p)
{
	void *at = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, p->fd, 0);

	if (at == MAP_FAILED)
		return -1;
	munmap(at, 1);
	return 0;
}

static int try_create(const struct place *p)
{
	return mkdir(p->other, 0700);
}

static int try_unlink(const struct place *p)
{
	return unlink(p->file);
}

static int try_rename(const struct place *p)
{
	return rename(p->file, p->other);
}

static int try_link(const struct place *p)
{
	return link(p->file, p->other);
}

static int try_truncate(const struct place *p)
{
	return truncate(p->file, 0);
}

static int try_change(const struct place *p)
{
	return chmod(p->file, 0600);
}

/* Ends the process that it is called in, unless it is refused. */
static int try_run(const struct place *p)
{
	const struct rlimit none = { 0 };
	char *const argv[] = { (char *)(uintptr_t)p->file, NULL };

	setrlimit(RLIMIT_CORE, &none);
	return execv(p->file, argv);
}

static int try_make(const struct place *p)
{
	return open(p->other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

enum { UPPER = 1, AFTER = 2 }; /* rungs, as bits */

/*
 * Those that leave the file where it is come first, should nothing be denied. Of an operation all must be
 * denied.
 */
/* clang-format off */
static const struct {
	enum policy_operation operation;
	int (*try)(const struct place *p);
	unsigned rungs;
} tries[] = {
	{ POLICY_READ,     try_read,     UPPER | AFTER },
	{ POLICY_WRITE,    try_write,    UPPER | AFTER },
	{ POLICY_EXEC,     try_map,      UPPER | AFTER },
	{ POLICY_EXEC,     try_run,      UPPER | AFTER },
	{ POLICY_TRUNCATE, try_truncate, UPPER },
	{ POLICY_CHANGE,   try_change,   UPPER },
	{ POLICY_CREATE,   try_make,     UPPER },
	{ POLICY_CREATE,   try_create,   UPPER },
	{ POLICY_LINK,     try_link,     UPPER },
	{ POLICY_RENAME,   try_rename,   UPPER },
	{ POLICY_UNLINK,   try_unlink,   UPPER },
};
/* clang-format on */

/* In a process of its own, which may be killed for it. */
static bool is_denied(const struct place *p, int (*try)(const struct place *p))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(try(p) < 0 ? errno : 0);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL;
	return pid > 0 && WEXITSTATUS(status) == EACCES;
}

/* What isn't attached isn't obeyed. */
static unsigned try_all(const struct place *p, enum file_rung rung)
{
	unsigned denied = 0, passed = 0;

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		if (!(tries[i].rungs & (rung == FILE_RUNG_AFTER ? AFTER : UPPER)))
			continue;
		if (is_denied(p, tries[i].try))
			denied |= tries[i].operation;
		else
			passed |= tries[i].operation;
	}
	return denied & ~passed;
}

/* ---- where ---- */

/* A program as short as can be, for this machine: it is never to run its first instruction. */
static int program_write(int fd)
{
	struct {
		ElfW(Ehdr) head;
		ElfW(Phdr) part;
	} program = { 0 };
	auto_close int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (own < 0 || read(own, &program.head, sizeof(program.head)) != sizeof(program.head))
		return -1;
	program.head.e_type = ET_EXEC;
	program.head.e_entry = 0x400000 + sizeof(program);
	program.head.e_phoff = sizeof(program.head);
	program.head.e_phnum = 1;
	program.head.e_shnum = 0;
	program.part = (ElfW(Phdr)){ .p_type = PT_LOAD,
				     .p_flags = PF_R | PF_X,
				     .p_vaddr = 0x400000,
				     .p_filesz = sizeof(program),
				     .p_memsz = 4096,
				     .p_align = 4096 };
	return write(fd, &program, sizeof(program)) == sizeof(program) ? 0 : -1;
}

static int place_make(struct place *p, struct err *e)
{
	auto_close int made = -1;

	str_copy(p->dir, sizeof(p->dir), "/run/sonda-trial.XXXXXX");
	if (!mkdtemp(p->dir))
		return fail(e, errno, "make '%s': %s", p->dir, strerror(errno));
	(void)!str_format(p->file, sizeof(p->file), "%s/file", p->dir);
	(void)!str_format(p->other, sizeof(p->other), "%s/other", p->dir);
	made = open(p->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (made < 0 || program_write(made))
		return fail(e, errno, "make '%s': %s", p->file, strerror(errno));
	p->fd = open(p->file, O_RDONLY | O_CLOEXEC);
	return 0;
}

static void place_remove(struct place *p)
{
	fd_close(&p->fd);
	unlink(p->file);
	rmdir(p->other);
	unlink(p->other);
	rmdir(p->dir);
}

/* Generation `gen` decides about the two files until it is disarmed. */
static int trial_arm(const struct object *o, const struct place *p, unsigned gen, struct err *e)
{
	const char *const paths[] = { p->file, p->other };
	uint32_t zero = 0, value = gen + 1;

	if (file_guard_fill_trial(o, paths, ARRAY_LEN(paths), gen, e) < 0)
		return -e->code;
	return map_set(object_map_fd(o, "file_trial"), "the trial", &zero, &value, e);
}

static int trial_disarm(const struct object *o, unsigned gen, struct err *e)
{
	uint32_t zero = 0, value = 0;

	if (map_set(object_map_fd(o, "file_trial"), "the trial", &zero, &value, e) < 0)
		return -e->code;
	return file_guard_fill(o, NULL, gen, e);
}

/* Calls `fn` while it is armed. */
static int trial_hold(const struct object *o, unsigned gen,
		      int (*fn)(const struct object *o, const struct place *p, void *ctx,
				struct err *e),
		      void *ctx, struct err *e)
{
	struct place place = { .fd = -1 };
	struct err ignored;
	int err = place_make(&place, e);

	if (!err)
		err = trial_arm(o, &place, gen, e);
	if (!err)
		err = fn(o, &place, ctx, e);
	place_remove(&place);
	if (trial_disarm(o, gen, err ? &ignored : e) < 0 && !err)
		err = -e->code;
	return err;
}

/* ---- what it is worth ---- */

static int prove(const struct object *o, const struct place *p, void *ctx, struct err *e)
{
	struct file_proof *proof = ctx;

	(void)e;
	file_hooks_tell(o, proof);
	proof->denied = try_all(p, (enum file_rung)proof->rung);
	return 0;
}

int file_trial(const struct object *o, unsigned gen, struct file_proof *ret_proof, struct err *e)
{
	struct file_proof proof = { 0 };
	int err = trial_hold(o, gen, prove, &proof, e);

	if (!err)
		*ret_proof = proof;
	return err;
}

static void open_often(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < COST_RUNS; i++) {
		int fd = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
	}
}

static int measure(const struct object *o, const struct place *p, void *ctx, struct err *e)
{
	const char *slot = file_hooks_at_open(o);

	(void)p;
	return slot ? object_run_ns(o, slot, open_often, NULL, ctx, e) : 0;
}

int file_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost, struct err *e)
{
	uint64_t ns = 0;

	(void)p;
	if (trial_hold(o, 1, measure, &ns, e) < 0)
		return -e->code;
	*ret_cost = (struct guard_cost){ ns, "an open that no rule is about" };
	return 0;
}
