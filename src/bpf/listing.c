/* SPDX-License-Identifier: BSD-2-Clause */
/* BPF objects by id, and whose descriptors refer to them. */
#include "bpf/listing.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/fdinfo.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

struct holder {
	pid_t pid;
	uint32_t count;
};

struct listing {
	struct map holders[LISTED_COUNT]; /* id -> struct holder */
	char pid[16];                     /* of the process being looked at */
	listed_fn *fn;
	void *ctx;
};

static void name_put(char *to, size_t size, const char *name, const char *fallback)
{
	str_copy(to, size, name ? name : fallback);
}

static bool program_fill(int fd, struct listed *l)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_prog_get_info_by_fd(fd, &info, &len))
		return false;
	name_put(l->type, sizeof(l->type), libbpf_bpf_prog_type_str(info.type), "?");
	str_copy(l->name, sizeof(l->name), info.name);
	l->loaded_at_ns = info.load_time;
	l->uid = info.created_by_uid;
	l->memory_bytes = fdinfo_own(fd, "memlock:");
	return true;
}

static bool map_fill(int fd, struct listed *l)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_map_get_info_by_fd(fd, &info, &len))
		return false;
	name_put(l->type, sizeof(l->type), libbpf_bpf_map_type_str(info.type), "?");
	str_copy(l->name, sizeof(l->name), info.name);
	l->max_entries = info.max_entries;
	l->memory_bytes = fdinfo_own(fd, "memlock:");
	return true;
}

/* What a link is attached to, where the kernel says it in words. */
static void link_name(int fd, struct bpf_link_info *info, char *name, size_t size)
{
	bool has_words = info->type == BPF_LINK_TYPE_RAW_TRACEPOINT;
	__u32 len = sizeof(*info);
	struct bpf_link_info again = { 0 };

	if (!has_words)
		return;
	again.raw_tracepoint.tp_name = (uintptr_t)name;
	again.raw_tracepoint.tp_name_len = (__u32)size;
	if (bpf_link_get_info_by_fd(fd, &again, &len))
		name[0] = '\0';
}

static bool link_fill(int fd, struct listed *l)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		return false;
	name_put(l->type, sizeof(l->type), libbpf_bpf_link_type_str(info.type), "?");
	link_name(fd, &info, l->name, sizeof(l->name));
	l->program = info.prog_id;
	return true;
}

static const struct {
	int (*next)(__u32 id, __u32 *next);
	int (*open)(__u32 id);
	bool (*fill)(int fd, struct listed *l);
	const char *link, *key; /* of a descriptor in /proc */
} kinds[LISTED_COUNT] = {
	[LISTED_PROGRAM] = { bpf_prog_get_next_id, bpf_prog_get_fd_by_id, program_fill,
			     "anon_inode:bpf-prog", "prog_id:" },
	[LISTED_MAP] = { bpf_map_get_next_id, bpf_map_get_fd_by_id, map_fill, "anon_inode:bpf-map",
			 "map_id:" },
	[LISTED_LINK] = { bpf_link_get_next_id, bpf_link_get_fd_by_id, link_fill,
			  "anon_inode:bpf_link", "link_id:" },
};

/* ---- who holds them ---- */

static void holder_add(struct listing *s, enum listed_what what, uint64_t id)
{
	struct holder *h = map_get(&s->holders[what], id);
	pid_t pid = (pid_t)strtol(s->pid, NULL, 10);

	if (!h) {
		h = xnew(struct holder);
		h->pid = pid;
		map_put(&s->holders[what], id, h);
	}
	h->pid = min(h->pid, pid);
	h->count++;
}

static int descriptor_look(int dir_fd, const char *name, unsigned char type, void *ctx,
			   struct err *e)
{
	struct listing *s = ctx;
	char link[32] = "", path[300];
	auto_free char *text = NULL;
	size_t what = 0;

	(void)type;
	if (readlinkat(dir_fd, name, link, sizeof(link) - 1) < 0)
		return 0;
	while (what < LISTED_COUNT && !str_eq(kinds[what].link, link))
		what++;
	if (what == LISTED_COUNT)
		return 0;
	str_format(path, sizeof(path), "/proc/%s/fdinfo/%s", s->pid, name);
	if (file_read(path, &text, NULL, e) == 0)
		holder_add(s, (enum listed_what)what, fdinfo_number(text, kinds[what].key, 10));
	return 0;
}

static int process_look(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct listing *s = ctx;
	char path[64];

	(void)dir_fd, (void)type;
	if (!isdigit((unsigned char)*name) || !str_copy(s->pid, sizeof(s->pid), name))
		return 0;
	str_format(path, sizeof(path), "/proc/%s/fd", s->pid);
	(void)!dir_each(path, descriptor_look, s, e); /* a process may end meanwhile */
	return 0;
}

/* ---- all of it ---- */

static int denied(struct err *e)
{
	return fail_as(e, EXIT_DENIED, EPERM, "listing BPF programs is not permitted");
}

static int one_read(struct listing *s, enum listed_what what, uint32_t id)
{
	struct listed l = { .what = what, .id = id };
	const struct holder *h = map_get(&s->holders[what], id);
	auto_close int fd = kinds[what].open(id);

	if (fd < 0 || !kinds[what].fill(fd, &l))
		return 0; /* gone meanwhile */
	l.pid = h ? h->pid : 0;
	l.holders = h ? h->count : 0;
	return s->fn(&l, s->ctx);
}

static int kind_read(struct listing *s, enum listed_what what, struct err *e)
{
	uint32_t id = 0;
	int code = 0;

	while (!code && !kinds[what].next(id, &id))
		code = one_read(s, what, id);
	return !code && (errno == EPERM || errno == EACCES) ? denied(e) : code;
}

int listing_read(listed_fn *fn, void *ctx, struct err *e)
{
	struct listing s = { .fn = fn, .ctx = ctx };
	int code = dir_each("/proc", process_look, &s, e);

	for (size_t what = 0; !code && what < LISTED_COUNT; what++) {
		errno = 0;
		code = kind_read(&s, (enum listed_what)what, e);
	}
	for (size_t what = 0; what < LISTED_COUNT; what++)
		map_done(&s.holders[what], free);
	return code;
}
