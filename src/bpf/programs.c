/* SPDX-License-Identifier: BSD-2-Clause */
/* All BPF programs and maps of the machine: by id from the kernel, their holders from /proc. */
#include "bpf/programs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fdinfo.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"

enum { MAPS_PER_PROGRAM_MAX = 64 };

/* A map of the machine: its memory, and how many programs use it. */
struct map_use {
	uint64_t bytes;
	uint32_t users;
};

/* What is being put together. */
struct survey {
	struct map maps; /* id -> struct map_use */
	vec(struct program) programs;
	vec(uint32_t) used; /* ids of maps, MAPS_PER_PROGRAM_MAX for each program; 0: none */
	struct map by_id;   /* program id -> index + 1 */
	pid_t pid;          /* being looked at */
};

static int denied(struct err *e)
{
	return fail_as(e, EXIT_DENIED, EPERM, "listing BPF programs is not permitted");
}

static struct map_use *map_survey(struct survey *s, uint32_t id)
{
	struct map_use *use = map_get(&s->maps, id);
	auto_close int fd = -1;

	if (use)
		return use;
	use = xnew(struct map_use);
	fd = bpf_map_get_fd_by_id(id);
	if (fd >= 0)
		use->bytes = fdinfo_own(fd, "memlock:");
	map_put(&s->maps, id, use);
	return use;
}

/* The kernel cuts names at 15 characters; BTF has the function's whole name. */
static void program_name(const struct bpf_prog_info *info, struct program *p)
{
	struct bpf_func_info func = { 0 };
	struct bpf_prog_info more = { 0 };
	__u32 len = sizeof(more);
	const struct btf_type *type;
	auto_close int fd = -1;
	struct btf *btf = NULL;

	str_copy(p->name, sizeof(p->name), info->name);
	if (!info->btf_id || !info->nr_func_info || strlen(info->name) < BPF_OBJ_NAME_LEN - 1)
		return;
	more.nr_func_info = 1;
	more.func_info_rec_size = sizeof(func);
	more.func_info = (uintptr_t)&func;
	fd = bpf_prog_get_fd_by_id(info->id);
	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &more, &len))
		return;
	btf = btf__load_from_kernel_by_id(info->btf_id);
	type = btf ? btf__type_by_id(btf, func.type_id) : NULL;
	if (type)
		str_copy(p->name, sizeof(p->name), btf__str_by_offset(btf, type->name_off));
	btf__free(btf);
}

static int program_survey(struct survey *s, uint32_t id)
{
	auto_close int fd = bpf_prog_get_fd_by_id(id);
	uint32_t map_ids[MAPS_PER_PROGRAM_MAX] = { 0 };
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	struct program *p;
	const char *type;

	info.nr_map_ids = ARRAY_LEN(map_ids);
	info.map_ids = (uintptr_t)map_ids;
	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &len))
		return errno == ENOENT ? 0 : -errno; /* gone meanwhile */
	p = vec_add(&s->programs);
	p->id = id;
	type = libbpf_bpf_prog_type_str(info.type);
	str_copy(p->type, sizeof(p->type), type ? type : "?");
	p->run_time_ns = info.run_time_ns;
	p->run_count = info.run_cnt;
	p->recursion_misses = info.recursion_misses;
	p->loaded_at_ns = info.load_time;
	p->insns = info.verified_insns;
	p->code_bytes = fdinfo_own(fd, "memlock:");
	program_name(&info, p);
	map_put(&s->by_id, id, (void *)s->programs.len);
	for (size_t i = 0; i < ARRAY_LEN(map_ids); i++) {
		bool is_told = i < info.nr_map_ids && map_ids[i];

		vec_push(&s->used, is_told ? map_ids[i] : 0);
		if (is_told)
			map_survey(s, map_ids[i])->users++;
	}
	return 0;
}

/* ---- who holds them: every descriptor of every process ---- */

static int descriptor_look(int dir_fd, const char *name, unsigned char type, void *ctx,
			   struct err *e)
{
	struct survey *s = ctx;
	char link[32], path[300];
	auto_free char *text = NULL;
	struct program *p;
	uintptr_t index;
	ssize_t n;

	(void)type;
	n = readlinkat(dir_fd, name, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	if (!str_eq(link, "anon_inode:bpf-prog") && !str_eq(link, "anon_inode:bpf_link") &&
	    !str_eq(link, "anon_inode:[perf_event]"))
		return 0;
	str_format(path, sizeof(path), "/proc/%d/fdinfo/%s", s->pid, name);
	if (file_read(path, &text, NULL, e) < 0)
		return 0;
	index = (uintptr_t)map_get(&s->by_id, fdinfo_number(text, "prog_id:", 10));
	if (!index)
		return 0;
	p = &s->programs.at[index - 1];
	if (p->holder.pid == s->pid)
		return 0;
	if (!p->holders++ || s->pid < p->holder.pid)
		p->holder.pid = s->pid;
	return 0;
}

static int process_look(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct survey *s = ctx;
	char path[300];

	(void)dir_fd;
	(void)type;
	if (!isdigit((unsigned char)*name))
		return 0;
	s->pid = (pid_t)strtol(name, NULL, 10);
	str_format(path, sizeof(path), "/proc/%s/fd", name);
	(void)!dir_each(path, descriptor_look, s, e); /* a process may end meanwhile */
	return 0;
}

static void holders_name(struct survey *s)
{
	vec_for_each(p, &s->programs) {
		char path[64];
		struct err e;

		if (!p->holder.pid)
			continue;
		str_format(path, sizeof(path), "/proc/%d/comm", p->holder.pid);
		(void)!file_line(path, p->holder.comm, sizeof(p->holder.comm), &e);
	}
}

/* ---- all of it ---- */

static int survey_ids(struct survey *s, struct err *e)
{
	uint32_t id = 0;
	int code;

	while (!bpf_prog_get_next_id(id, &id)) {
		code = program_survey(s, id);
		if (code == -EPERM)
			return denied(e);
		if (code < 0)
			return fail(e, -code, "BPF program %u: %s", id, strerror(-code));
	}
	if (errno == EPERM)
		return denied(e);
	id = 0;
	while (!bpf_map_get_next_id(id, &id))
		map_survey(s, id);
	return 0;
}

/* A map that n programs use counts 1/n in each. */
static void survey_memory(struct survey *s, struct programs *programs)
{
	for (size_t i = 0; i < s->used.len; i++) {
		const struct map_use *use = s->used.at[i] ? map_get(&s->maps, s->used.at[i]) : NULL;

		if (use)
			s->programs.at[i / MAPS_PER_PROGRAM_MAX].map_bytes +=
				use->bytes / use->users;
	}
	map_for_each(slot, &s->maps) {
		programs->map_bytes += ((const struct map_use *)slot->value)->bytes;
		programs->map_count++;
	}
}

int programs_read(struct programs *ret_programs, struct err *e)
{
	struct survey s = { 0 };
	struct programs read = { .taken_at_ns = clock_boot_ns() };
	struct err ignored = { 0 };
	int code = survey_ids(&s, e);

	if (!code) {
		(void)!dir_each("/proc", process_look, &s, &ignored);
		holders_name(&s);
		survey_memory(&s, &read);
		read.at = TAKE_PTR(s.programs.at);
		read.len = s.programs.len;
		*ret_programs = read;
	}
	map_done(&s.maps, free);
	map_done(&s.by_id, NULL);
	vec_done(&s.programs);
	vec_done(&s.used);
	return code;
}

void programs_done(struct programs *p)
{
	free(p->at);
	*p = (struct programs){ 0 };
}

const struct program *programs_find(const struct programs *p, uint32_t id)
{
	for (size_t i = 0; i < p->len; i++)
		if (p->at[i].id == id)
			return &p->at[i];
	return NULL;
}

int programs_stats_on(int *ret_fd, struct err *e)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == EPERM)
		return denied(e);
	return fail_as(e, EXIT_KERNEL, errno, "run-time statistics of BPF: %s", strerror(errno));
}

/* An empty program run many times by the kernel itself: what it reports is the clock alone. */
int programs_stats_floor(uint64_t *ret_ns, struct err *e)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	unsigned char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 10000);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	auto_close int stats = -1, fd = -1;

	if (programs_stats_on(&stats, e) < 0)
		return -e->code;
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "sonda_empty", "GPL", insns,
			   ARRAY_LEN(insns), NULL);
	if (fd < 0 || bpf_prog_test_run_opts(fd, &opts) ||
	    bpf_prog_get_info_by_fd(fd, &info, &len) || !info.run_cnt)
		return fail(e, errno ? errno : EIO, "measuring an empty BPF program");
	*ret_ns = info.run_time_ns / info.run_cnt;
	return 0;
}
