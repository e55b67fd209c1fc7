/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Names removed or changed: unlink, rmdir, rename, and the links that make new ones. A rename that
 * takes the place of another file is told as such. Paths are as the caller gave them, joined to the
 * directory they begin in.
 */
#define EVENT_MAX 9216 /* two whole paths and the struct */
#include "sonda.bpf.h"

#include "sonda/file_calls.h"
#include "kernel/uring.h"

PROBE(remove, "fs", "Files removed, renamed and linked", SLOTS(64));
FILTERS("task errors min");

#define REMOVE_OPS                                                                            \
	(FILE_OP_BIT(UNLINK) | FILE_OP_BIT(RMDIR) | FILE_OP_BIT(RENAME) | FILE_OP_BIT(LINK) | \
	 FILE_OP_BIT(SYMLINK))

#define AT_REMOVEDIR 0x200

enum remove_flag {
	REMOVE_FLAG_NOREPLACE = 1, /* RENAME_... */
	REMOVE_FLAG_EXCHANGE = 2,
	REMOVE_FLAG_WHITEOUT = 4,
};

EVENT(remove, "A name was removed or changed, or could not be")
{
	struct task task;
	enum file_op op DOC("what was done");
	s32 err KIND("errno") DOC("why it failed");
	s64 took_ns KIND("duration") DOC("time it took");
	enum remove_flag flags FLAGS HIDE DOC("asked of renameat2(2)");
	struct text path KIND("path") DOC("the name removed, renamed or linked to");
	struct text to KIND("path") DOC("the new name");
};

struct remove_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	enum file_op op DOC("what was done");
	s32 err KIND("errno") DOC("why it failed");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 uid KIND("uid") HIDE DOC("user the thread runs as");
};
struct remove_values {
	u64 calls COUNTER DOC("names removed or changed, or tries");
	HIST_LOG2(took_ns, 36, UNIT("ns") DOC("time it takes"));
};
METRICS(names, struct remove_labels, struct remove_values, 4096, "Names removed and changed");

static __noinline int count_call(u32 op, s32 err, s64 took_ns)
{
	struct remove_labels key = {};
	struct remove_values *row;

	if (label(names, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(names, 1))
		key.op = op;
	if (label(names, 2))
		key.err = err;
	if (label(names, 3))
		key.cgroup = task_cgroup_id(current_task());
	if (label(names, 4))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(names, 5))
		key.uid = task_uid(current_task());
	row = row_of(names, &key);
	if (!row)
		return 0;
	add(row->calls, 1);
	observe(row->took_ns, took_ns);
	return 0;
}

/* Where the call finds its paths: a descriptor and an address each. */
struct remove_asked {
	int dirfd, to_dirfd;
	u64 path, to;
	u32 flags;
	u32 op;
};

static __noinline int tell(void *ctx, struct remove_asked *asked, s32 err, s64 took_ns)
{
	struct remove *e;

	if (!asked)
		return 0;
	e = event_new(remove);
	if (!e)
		return 0;
	task_now(&e->task);
	e->op = asked->op;
	e->err = err;
	e->took_ns = took_ns;
	e->flags = asked->flags;
	text_path_requested(e, path, asked->dirfd, (const char *)asked->path);
	if (asked->to)
		text_path_requested(e, to, asked->to_dirfd, (const char *)asked->to);
	event_send(ctx, e);
	return 0;
}

#define ARG(nth) syscall_arg(regs, nth, is_32bit)
static __always_inline void asked_by(struct remove_asked *asked,
				     const volatile struct file_call *call, struct pt_regs *regs,
				     bool is_32bit)
{
	asked->op = call->op;
	asked->dirfd = call->fd == NO_ARG ? AT_FDCWD : (int)ARG(call->fd);
	asked->path = ARG(call->path);
	asked->to_dirfd = call->fd2 == NO_ARG ? AT_FDCWD : (int)ARG(call->fd2);
	asked->to = call->path2 == NO_ARG ? 0 : ARG(call->path2);
	if (call->op == FILE_OP_RENAME && syscall_nr(regs) == (is_32bit ? 353 : __NR_renameat2))
		asked->flags = ARG(4);
	if (call->op == FILE_OP_UNLINK && call->fd != NO_ARG && ARG(2) & AT_REMOVEDIR)
		asked->op = FILE_OP_RMDIR;
	if (call->op == FILE_OP_SYMLINK) { /* to: what will be found under the new name */
		asked->to_dirfd = asked->dirfd;
		asked->to = asked->path;
		asked->dirfd = -1;
		asked->path = ARG(0);
	}
}
#undef ARG

SEC("tp_btf/sys_enter") int BPF_PROG(call_begins, struct pt_regs *regs, long nr)
{
	const volatile struct file_call *call;
	bool is_32bit;

	call = file_call_of(regs, REMOVE_OPS, &is_32bit);
	if (call)
		file_call_begins(regs, is_32bit, (struct file_call_files){});
	return 0;
}

SEC("tp_btf/sys_exit") int BPF_PROG(call_returns, struct pt_regs *regs, long ret)
{
	const volatile struct file_call *call;
	struct file_call_begun begun;
	struct remove_asked asked = {};
	s32 err = ret < 0 ? ret : 0;
	s64 took_ns;

	call = file_call_ended(regs, bpf_get_current_pid_tgid(), &begun);
	if (!call || !wanted())
		return 0;
	took_ns = bpf_ktime_get_ns() - begun.at_ns;
	if (!notable(err, took_ns))
		return 0;
	asked_by(&asked, call, regs, begun.is_32bit);
	if (tables_wanted())
		count_call(asked.op, err, took_ns);
	if (events_wanted())
		tell(ctx, &asked, err, took_ns);
	return 0;
}
