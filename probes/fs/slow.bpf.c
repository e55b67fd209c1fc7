/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Operations on files that took long, and those that still hang: a dead file server, a frozen file
 * system, a disk that does not answer. On descriptors (read, write, fsync, getdents ...) and on paths
 * (open, rename, unlink, stat ...). Pipes, sockets and terminals are left out: they wait for somebody.
 */
#define EVENT_MAX 4608 /* a whole path and the struct */
#include "sonda.bpf.h"

#include "sonda/file_calls.h"

#define FILE_IO_LOOKS_FIRST 1
#define FILE_IO_OPS (~(FILE_OP_BIT(NONE) | FILE_OP_BIT(LOCK)))
#include "sonda/file_io.h"
#include "sonda/iter.h"

#include <asm/fcntl.h>

PROBE(slow, "fs", "Operations on files that took long or still hang");
FILTERS("task errors min=10ms");
PARAM(u32, hanging_s, 5,
      DOC("tell what is still under way after so long, and each time so long later") UNIT("s")
	      RANGE(1, 3600));

enum slow_state { SLOW_STATE_DONE, SLOW_STATE_HANGING };
enum slow_path { SLOW_PATH_UNKNOWN, SLOW_PATH_RESOLVED, SLOW_PATH_REQUESTED };

EVENT(slow, "An operation on a file took long, or hangs")
{
	struct task task;
	enum file_op op DOC("what was done");
	enum slow_state state DOC("done, or hanging: still under way");
	s64 took_ns KIND("duration") DOC("time it took, or has taken so far");
	s32 err KIND("errno") DOC("why it failed");
	u64 size_bytes KIND("bytes") DOC("bytes that were really read or written");
	s64 offset DOC("where in the file; -1: at the file's own position, or nowhere");
	bool direct HIDE DOC("past the page cache (O_DIRECT)");
	char fs[16] HIDE DOC("type of the file system");
	struct text path KIND("path") DOC("path of the file");
	enum slow_path path_is HIDE DOC("resolved: of the open file; requested: as the caller "
					"gave it, joined to where it begins");
};

static __always_inline void describe_file(struct slow *e, struct file *file)
{
	text_path(e, path, &file->f_path);
	e->path_is = SLOW_PATH_RESOLVED;
	e->direct = BPF_CORE_READ(file, f_flags) & O_DIRECT;
	bpf_probe_read_kernel_str(e->fs, sizeof(e->fs),
				  BPF_CORE_READ(file, f_inode, i_sb, s_type, name));
}

static __always_inline void describe_io(struct slow *e, struct file_io *io)
{
	e->op = io->op;
	e->took_ns = io->took_ns;
	e->offset = io->offset;
	e->err = io->ret < 0 ? io->ret : 0;
	if (io->ret > 0 && (io->op == FILE_OP_READ || io->op == FILE_OP_WRITE))
		e->size_bytes = io->ret;
}

static __noinline int io_done(void *ctx, struct file_io *io)
{
	struct slow *e;

	if (!io || !wanted_id(io->who) || !notable(io->ret < 0 ? io->ret : 0, io->took_ns))
		return 0;
	e = event_new(slow);
	if (!e)
		return 0;
	task_now(&e->task);
	describe_io(e, io);
	describe_file(e, io->file);
	event_send(ctx, e);
	return 0;
}

static __noinline int path_told(void *ctx, struct file_io *io, int dirfd, u64 name)
{
	struct slow *e;

	if (!io || !wanted_id(io->who) || !notable(io->ret < 0 ? io->ret : 0, io->took_ns))
		return 0;
	e = event_new(slow);
	if (!e)
		return 0;
	task_now(&e->task);
	describe_io(e, io);
	text_path_requested(e, path, dirfd, (const char *)name);
	e->path_is = SLOW_PATH_REQUESTED;
	event_send(ctx, e);
	return 0;
}

static __always_inline int path_done(void *ctx, const volatile struct file_call *call,
				     struct pt_regs *regs, bool is_32bit, struct file_io *io)
{
	int dirfd = call->fd == NO_ARG ? AT_FDCWD : (int)syscall_arg(regs, call->fd, is_32bit);

	io->offset = -1;
	if (io->op == FILE_OP_OPEN && io->ret >= 0) {
		io->file = file_of_fd(io->ret);
		return file_io_tell(ctx, io);
	}
	return path_told(ctx, io, dirfd, syscall_arg(regs, call->path, is_32bit));
}

/* What hangs on a path can be asked for its name only while the caller runs: at the entry. */
#define HANGING_NAME_MAX 128
struct hanging_name {
	char text[HANGING_NAME_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CALL_PLACES);
	__type(key, u32);
	__type(value, struct hanging_name);
} hanging_names SEC(".maps");

static __always_inline void path_begins(const volatile struct file_call *call, struct pt_regs *regs,
					bool is_32bit)
{
	u32 place = (u32)bpf_get_current_pid_tgid() & (CALL_PLACES - 1);
	struct hanging_name *name = bpf_map_lookup_elem(&hanging_names, &place);

	if (name)
		bpf_probe_read_user_str(name->text, sizeof(name->text),
					(const char *)syscall_arg(regs, call->path, is_32bit));
}

FILE_IO_PROGRAMS

static __always_inline const volatile struct file_call *call_again(const struct file_call_begun *b)
{
	u32 nr = b->nr;

	barrier_var(nr);
	if (nr >= FILE_CALLS)
		return NULL;
	return b->is_32bit ? &file_calls_32[nr] : &file_calls[nr];
}

static __always_inline void describe_name(struct slow *e, u32 tid)
{
	u32 place = tid & (CALL_PLACES - 1);
	struct hanging_name *name = bpf_map_lookup_elem(&hanging_names, &place);
	struct file_call_begun *owner = bpf_map_lookup_elem(&file_calls_begun, &place);

	if (name && owner && owner->tid == tid && text_kernel(e, path, name->text) > 1)
		e->path_is = SLOW_PATH_REQUESTED;
}

static __always_inline bool is_due(struct file_call_begun *begun, u64 now)
{
	u64 since = begun->told_ns ?: begun->at_ns;

	return now > since && now - since >= hanging_s * 1000000000ull;
}

static __noinline int tell_hanging(void *ctx, struct task_struct *task,
				   const struct file_call_begun *begun, u32 op, u64 now)
{
	struct slow *e;

	if (!begun || !wanted_task(task))
		return 0;
	e = event_new(slow);
	if (!e)
		return 0;
	task_fill(&e->task, task);
	e->op = op;
	e->state = SLOW_STATE_HANGING;
	e->took_ns = now - begun->at_ns;
	e->offset = -1;
	if (begun->file)
		describe_file(e, begun->file);
	else
		describe_name(e, begun->tid);
	event_send(ctx, e);
	return 0;
}

EVERY(1000) SEC("iter/task") int hanging_sweep(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct file_call_begun *begun, still;
	const volatile struct file_call *call;
	u64 now = bpf_ktime_get_ns();

	if (!task || sonda_conf.errors_only || !events_wanted())
		return 0;
	begun = file_call_underway(task->pid);
	if (!begun || !is_due(begun, now))
		return 0;
	still = *begun;
	call = call_again(&still);
	if (still.tid != task->pid || !call || (call->path == NO_ARG && !file_stored(still.file)))
		return 0;
	begun->told_ns = now;
	return tell_hanging(ctx, task, &still, call->op, now);
}
