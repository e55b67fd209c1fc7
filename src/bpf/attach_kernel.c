/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to kernel code: tracepoints, trampolines, kprobes, LSM hooks, iterators. */
#include "bpf/attach.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "abi/conf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/mounts.h"

enum { TARGET_MAX = 512, SYMBOLS_MAX = 4096 };

/* libbpf gave a link, or NULL with errno. */
static int link_take(struct bpf_link *link, const char *place, struct links *links, struct err *e)
{
	if (!link)
		return fail(e, errno, "%s: %s", place, strerror(errno));
	links_add(links, link);
	return 0;
}

static int tracepoint_add(const struct attach_spec *spec, const char *name, struct links *links,
			  struct err *e)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	auto_close int fd = -1;
	struct bpf_link *link;
	uint64_t id;

	if (tracepoint_id(name, &id, e) < 0)
		return -e->code;
	attr.config = id;
	attr.sample_period = 1;
	attr.wakeup_events = 1;
	/* the program runs on every CPU, whichever the event is opened on */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, sched_getcpu(), -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return fail(e, errno, "tracepoint %s: %s", name, strerror(errno));
	link = bpf_program__attach_perf_event(spec->program, fd);
	if (link)
		(void)TAKE_FD(fd);
	return link_take(link, name, links, e);
}

int attach_tracepoint(const struct attach_spec *spec, struct links *links, struct err *e)
{
	char name[TARGET_MAX];
	int err;

	err = tracepoint_add(spec, spec->rest, links, e);
	for (unsigned i = 0; !err && list_word(spec->also, i, name, sizeof(name)); i++)
		err = tracepoint_add(spec, name, links, e);
	return err;
}

int attach_raw_tracepoint(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return link_take(bpf_program__attach_raw_tracepoint(spec->program, spec->rest), spec->rest,
			 links, e);
}

int attach_trace(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return link_take(bpf_program__attach_trace(spec->program), spec->rest, links, e);
}

int attach_lsm(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return link_take(bpf_program__attach_lsm(spec->program), spec->rest, links, e);
}

int iterator_link(int program_fd, int map_fd)
{
	union bpf_iter_link_info over = { .map.map_fd = (__u32)map_fd };
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	if (map_fd >= 0) {
		opts.iter_info = &over;
		opts.iter_info_len = sizeof(over);
	}
	return bpf_link_create(program_fd, 0, BPF_TRACE_ITER, &opts);
}

int attach_iter(const struct attach_spec *spec, struct links *links, struct err *e)
{
	int fd = iterator_link(bpf_program__fd(spec->program), spec->map_fd);

	if (fd < 0)
		return fail(e, errno, "iterator %s: %s", spec->rest, strerror(errno));
	links_add_fd(links, fd);
	return 0;
}

static int kprobe_refused(const struct attach_spec *spec, unsigned nth, const char *name,
			  struct err *e)
{
	int code = errno;

	if (code == ENOENT || code == EADDRNOTAVAIL)
		return fail_as(e, spec->each ? EXIT_USAGE : EXIT_KERNEL, ENOENT,
			       "function %s: not in this kernel, or it can't be probed", name);
	if (nth && code == EOPNOTSUPP)
		return fail_as(e, EXIT_KERNEL, EINVAL,
			       "this kernel can't tell several functions apart (it takes 5.15)");
	return fail(e, code, "kprobe %s: %s", name, strerror(code));
}

/* "function" or "function+0x10" */
static int kprobe_one(const struct attach_spec *spec, unsigned nth, char *name, bool is_return,
		      struct links *links, struct err *e)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .retprobe = is_return,
		    .bpf_cookie = spec->each ? nth : 0);
	char *plus = strchr(name, '+');
	struct bpf_link *link;

	opts.offset = plus ? strtoul(plus + 1, NULL, 0) : 0;
	if (plus)
		*plus = '\0';
	link = bpf_program__attach_kprobe_opts(spec->program, name, &opts);
	if (!link)
		return kprobe_refused(spec, nth, name, e);
	links_add(links, link);
	return 0;
}

/* As find_kprobe_multi() or find_kprobe() chose. */
static bool is_multi(const struct attach_spec *spec)
{
	return bpf_program__expected_attach_type(spec->program) == BPF_TRACE_KPROBE_MULTI;
}

static struct bpf_link *multi_link(const struct attach_spec *spec, const char **names, size_t count,
				   bool is_return)
{
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .retprobe = is_return);
	__u64 places[TARGETS_MAX];

	if (count == 1 && strpbrk(names[0], "*?"))
		return bpf_program__attach_kprobe_multi_opts(spec->program, names[0], &opts);
	opts.syms = names;
	opts.cnt = count;
	for (size_t i = 0; spec->each && i < TARGETS_MAX; i++)
		places[i] = i;
	opts.cookies = spec->each && count <= TARGETS_MAX ? places : NULL;
	return bpf_program__attach_kprobe_multi_opts(spec->program, NULL, &opts);
}

/* All names by one link, or, when one of them isn't there and may be missing, those that are by a link each. */
static int multi_add(const struct attach_spec *spec, struct strlist *names, bool is_return,
		     struct links *links, struct err *e)
{
	const char **at = (const char **)(void *)names->at;
	const char *place = *spec->targets ? spec->targets : spec->rest;
	struct bpf_link *link = multi_link(spec, at, names->len, is_return);
	size_t before = links->len;

	if (link || spec->each || (errno != ESRCH && errno != ENOENT))
		return link_take(link, place, links, e);
	for (size_t i = 0; i < names->len; i++) {
		link = multi_link(spec, at + i, 1, is_return);
		if (link)
			links_add(links, link);
	}
	return links->len > before ? 0 : fail(e, ENOENT, "%s: not in this kernel", place);
}

static int kprobes_multi(const struct attach_spec *spec, bool is_return, struct links *links,
			 struct err *e)
{
	struct strlist names = { 0 };
	char name[TARGET_MAX];
	int code;

	for (unsigned i = 0; i < SYMBOLS_MAX && spec_target(spec, i, name, sizeof(name)); i++)
		strlist_add(&names, name);
	code = multi_add(spec, &names, is_return, links, e);
	strlist_done(&names);
	return code;
}

/* The first of the targets that is there, or each. */
static int kprobe_add(const struct attach_spec *spec, bool is_return, struct links *links,
		      struct err *e)
{
	char name[TARGET_MAX];
	int err;

	if (spec->each && !*spec->targets)
		return 0; /* as for uprobes */
	if (is_multi(spec))
		return kprobes_multi(spec, is_return, links, e);
	err = fail(e, EINVAL, "kprobe: no function is named");
	for (unsigned i = 0; spec_target(spec, i, name, sizeof(name)); i++) {
		err = kprobe_one(spec, i, name, is_return, links, e);
		if (!err != spec->each)
			break;
	}
	return err;
}

int attach_kprobe(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return kprobe_add(spec, false, links, e);
}

int attach_kretprobe(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return kprobe_add(spec, true, links, e);
}

/* One after the other, where the kernel can't take many at once; what isn't there is left out. */
static int kprobes_add_each(const struct attach_spec *spec, bool is_return, struct links *links,
			    struct err *e)
{
	size_t before = links->len;
	char name[TARGET_MAX];

	for (unsigned i = 0; spec_target(spec, i, name, sizeof(name)); i++) {
		struct attach_spec one = *spec;

		one.targets = name;
		(void)!kprobe_add(&one, is_return, links, e);
	}
	if (links->len > before)
		return 0;
	return e->code ? -e->code : fail(e, ENOENT, "kprobe.multi: no function is named");
}

static int kprobes_add(const struct attach_spec *spec, bool is_return, struct links *links,
		       struct err *e)
{
	if (is_multi(spec))
		return kprobes_multi(spec, is_return, links, e);
	return kprobes_add_each(spec, is_return, links, e);
}

int attach_kprobe_multi(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return kprobes_add(spec, false, links, e);
}

int attach_kretprobe_multi(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return kprobes_add(spec, true, links, e);
}

static int ksyscall_add(const struct attach_spec *spec, bool is_return, struct links *links,
			struct err *e)
{
	LIBBPF_OPTS(bpf_ksyscall_opts, opts, .retprobe = is_return);

	return link_take(bpf_program__attach_ksyscall(spec->program, spec->rest, &opts), spec->rest,
			 links, e);
}

int attach_ksyscall(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return ksyscall_add(spec, false, links, e);
}

int attach_kretsyscall(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return ksyscall_add(spec, true, links, e);
}
