/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Finished operations on open files, by whatever way they were asked for: system calls that take a
 * descriptor, io_uring, and libaio.
 *
 *	#define FILE_IO_OPS (FILE_OP_BIT(READ) | ...)
 *	#include "sonda/file_io.h"
 *	static __noinline int io_done(void *ctx, struct file_io *io) { ... }
 *	static __always_inline int path_done(...) { ... }	what takes a path, unless FILE_CALL_PATHS is 0
 *	FILE_IO_PROGRAMS
 *
 * Before the include FILE_IO_OFFSETS 0: nobody asks for offsets; FILE_IO_LOOKS_FIRST 1: what begins is
 * kept by FILE_IO_PROGRAMS, so what ends need not be looked at, and io->inode may be NULL.
 *
 * What moves bytes from one file to another is told twice: read from one, written to the other.
 *
 * Not in vfs_read() and the like, where trampolines work. Calls that are none of these would cost nothing (instead
 * of 300 instructions; 382 on 7.x), and a read less (871, not 937; on 7.x 805, not 985). But to see all that is seen
 * here takes the functions of 16 rarer calls, too. With a trampoline each it takes 2 s to end, tried on 6.12, as each
 * waits for the kernel. With kprobe.multi for the rarer ones it is four waits, one after the other: 0.7 to 1.3 s on
 * 6.12, 0.2 to 0.7 s on 7.x, on a busy machine 1.4 to 4.6 s and 1.8 to 2.2 s (as it is: 0.1 to 1.6 s and 0.2 to 1.2 s); and a
 * preadv costs 1789 instructions (as it is 937; on 7.x 1929, not 996). Figures: docs/benchmarks.md.
 */
#pragma once

#include "sonda/file_calls.h"
#include "kernel/uring.h"

#ifndef FILE_IO_OFFSETS
#define FILE_IO_OFFSETS 1
#endif
#ifndef FILE_IO_LOOKS_FIRST
#define FILE_IO_LOOKS_FIRST 0
#endif

struct file_io {
	struct file *file;
	struct inode *inode;   /* NULL: nobody has looked */
	struct dentry *dentry; /* where reading is dear, of who has looked; else NULL */
	u64 inode_nr;          /* likewise */
	s64 offset;            /* -1: where the file's position was */
	s64 ret;               /* bytes, or a negative errno */
	s64 took_ns;
	u64 who; /* process and thread, as bpf_get_current_pid_tgid() says them */
	u32 op;  /* enum file_op */
	u32 pad;
};

/* On a regular file, a directory or a block device; others wait for somebody, not for storage. */
static __noinline int io_done(void *ctx, struct file_io *io);

/* An operation on a path; `io` has no file and no offset. */
static __always_inline int path_done(void *ctx, const volatile struct file_call *call,
				     struct pt_regs *regs, bool is_32bit, struct file_io *io);

/* The same when it begins, if the thread has its place to itself: what is kept there is its own. */
static __always_inline void path_begins(const volatile struct file_call *call, struct pt_regs *regs,
					bool is_32bit);

static __always_inline bool file_is_stored(u32 mode)
{
	u32 type = mode >> 12;

	return type == FILE_TYPE_REGULAR || type == FILE_TYPE_DIRECTORY || type == FILE_TYPE_BLOCK;
}

static __always_inline bool file_stored(struct file *file)
{
	if (!file)
		return false;
	return file_is_stored(DIRECT ? direct(struct file, file)->f_inode->i_mode
				     : BPF_CORE_READ(file, f_inode, i_mode));
}

static __always_inline bool file_call_closes(u32 op)
{
	return FILE_IO_OPS & FILE_OP_BIT(CLOSE) && op == FILE_OP_CLOSE;
}

/* Is it of a stored file, or of a path? A call that may wait for somebody is best let go at once; where
 * looking is dear that is left to its end, but of a close, which leaves nothing to look at. */
static __always_inline bool file_call_stored(const volatile struct file_call *call,
					     struct file_call_files files)
{
	if (file_call_on_path(call) || (!DIRECT && !file_call_closes(call->op)))
		return true;
	return file_stored(files.file) || file_stored(files.file2);
}

/* Looks where reading is dear; a function of its own, as what is read takes room on the stack. */
static __noinline u32 file_io_looks(struct file_io *io)
{
	struct file_link link;
	u32 mode;

	if (!io)
		return 0;
	file_link(io->file, &link);
	io->inode = link.inode;
	io->dentry = link.dentry;
	io->inode_nr = inode_link(link.inode, &mode);
	return mode;
}

/* Tells it if it is of a stored file. */
static __always_inline int file_io_tell(void *ctx, struct file_io *io)
{
	u32 mode;

	if (!io->file)
		return 0;
	if (DIRECT) {
		io->inode = direct(struct file, io->file)->f_inode;
		mode = direct(struct inode, io->inode)->i_mode;
	} else {
		mode = file_io_looks(io);
	}
	return file_is_stored(mode) ? io_done(ctx, io) : 0;
}

static __always_inline int file_call_tells(void *ctx, struct pt_regs *regs, s64 ret, u64 who,
					   const volatile struct file_call *call,
					   const struct file_call_begun *begun)
{
	struct file_io io = {};

	io.who = who;
	io.file = begun->file;
	io.took_ns = bpf_ktime_get_ns() - begun->at_ns;
	io.ret = ret;
	io.op = call->op;
	if (file_call_on_path(call))
		return path_done(ctx, call, regs, begun->is_32bit, &io);
	io.offset = -1;
	if (file_call_closes(io.op)) /* the file is gone; what it was the entry has looked at */
		return io.file ? io_done(ctx, &io) : 0;
	if (FILE_IO_OFFSETS && call->offset != NO_ARG && !begun->is_32bit)
		io.offset = syscall_arg(regs, call->offset, false);
	if (io.op == FILE_OP_TRANSFER)
		io.op = FILE_OP_READ;
	else if (FILE_IO_LOOKS_FIRST && DIRECT)
		return io_done(ctx, &io);
	file_io_tell(ctx, &io);
	if (call->op != FILE_OP_TRANSFER || !begun->file2)
		return 0;
	io.op = FILE_OP_WRITE;
	io.file = begun->file2;
	return file_io_tell(ctx, &io);
}

#include "sonda/file_aio.h"

static __always_inline int file_call_returns(void *ctx, struct pt_regs *regs, s64 ret)
{
	const volatile struct file_call *call;
	struct file_call_begun begun;
	u64 who = bpf_get_current_pid_tgid();

	call = file_call_ended(regs, who, &begun);
	if (!call)
		return 0;
	if (call->op < FILE_OP_AIO_SUBMIT)
		return file_call_tells(ctx, regs, ret, who, call, &begun);
	if (call->op == FILE_OP_AIO_REAP)
		aio_ends(regs, ret);
	else if (ret != (s64)syscall_arg(regs, 1, false))
		aio_refused(regs, ret);
	return aio_lost(ret);
}

/* Does the call hand operations over, or take results? Then that is seen to. */
static __always_inline bool file_call_aio(const volatile struct file_call *call,
					  const struct pt_regs *regs, bool is_32bit)
{
	if (call->op < FILE_OP_AIO_SUBMIT)
		return false;
	if (is_32bit)
		return true;
	if (call->op == FILE_OP_AIO_SUBMIT)
		aio_begins(regs);
	file_call_begins(regs, false, (struct file_call_files){});
	return true;
}

/* Requests under way in io_uring. */
struct uring_io {
	u64 at_ns;
	s64 offset;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64); /* struct io_kiocb */
	__type(value, struct uring_io);
} uring_ios SEC(".maps");

static __always_inline enum file_op uring_file_op(u8 opcode)
{
	switch (opcode) {
	case 1: /* IORING_OP_READV, ... */
	case 4:
	case 22:
		return FILE_OP_READ;
	case 2:
	case 5:
	case 23:
		return FILE_OP_WRITE;
	case 3:
	case 8:
		return FILE_OP_SYNC;
	case 17:
		return FILE_OP_ALLOCATE;
	default:
		return FILE_OP_NONE;
	}
}

static __noinline int uring_io_begins(struct io_kiocb *req)
{
	struct uring_io begun = { .offset = -1 };
	u64 key = (u64)req;
	enum file_op op;

	if (!req)
		return 0;
	op = uring_file_op(req->opcode);
	if (!op || !(FILE_IO_OPS & (1u << op)))
		return 0;
	begun.at_ns = bpf_ktime_get_ns();
	if (op == FILE_OP_READ || op == FILE_OP_WRITE)
		begun.offset = uring_rw_offset(req);
	if (bpf_map_update_elem(&uring_ios, &key, &begun, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __noinline int uring_io_ends(void *ctx, struct io_kiocb *req)
{
	u64 key = (u64)req;
	struct uring_io *begun = bpf_map_lookup_elem(&uring_ios, &key);
	struct file_io io = {};

	if (!begun || !req)
		return 0;
	io.who = bpf_get_current_pid_tgid();
	io.took_ns = bpf_ktime_get_ns() - begun->at_ns;
	io.offset = begun->offset;
	bpf_map_delete_elem(&uring_ios, &key);
	io.file = BPF_CORE_READ(req, cmd.file);
	io.ret = BPF_CORE_READ(req, cqe.res);
	io.op = uring_file_op(BPF_CORE_READ(req, opcode));
	return file_io_tell(ctx, &io);
}

#if !FILE_CALL_PATHS
static __always_inline int path_done(void *ctx, const volatile struct file_call *call,
				     struct pt_regs *regs, bool is_32bit, struct file_io *io)
{
	return 0;
}
static __always_inline void path_begins(const volatile struct file_call *call, struct pt_regs *regs,
					bool is_32bit)
{
}
#endif

/* clang-format off */
/* Both programs of a rank have all its needs: one of what is OPTIONAL may be missing alone. */
#define FILE_URING(rank, submits)                                                                  \
	ALT(uring, rank)                                                                           \
	OPTIONAL("what io_uring does")                                                             \
	NEED("tp io_uring/" submits)                                                               \
	NEED("type io_cmd_data")

#define FILE_IO_ENDS                                                                               \
	SEC("tp_btf/sys_exit") int BPF_PROG(call_returns, struct pt_regs *regs, long ret)          \
	{                                                                                          \
		return file_call_returns(ctx, regs, ret);                                          \
	}                                                                                          \
	FILE_URING(1, "io_uring_submit_req")                                                       \
	SEC("?tp_btf/io_uring_submit_req") int BPF_PROG(uring_submits, struct io_kiocb *req)       \
	{                                                                                          \
		return uring_io_begins(req);                                                       \
	}                                                                                          \
	FILE_URING(1, "io_uring_submit_req")                                                       \
	SEC("?tp_btf/io_uring_complete")                                                           \
	int BPF_PROG(uring_completes, void *ring, struct io_kiocb *req)                            \
	{                                                                                          \
		return uring_io_ends(ctx, req);                                                    \
	}                                                                                          \
	FILE_URING(2, "io_uring_submit_sqe")                                                       \
	SEC("?tp_btf/io_uring_submit_sqe") int BPF_PROG(uring_submits_60, struct io_kiocb *req)    \
	{                                                                                          \
		return uring_io_begins(req);                                                       \
	}                                                                                          \
	FILE_URING(2, "io_uring_submit_sqe")                                                       \
	SEC("?tp_btf/io_uring_complete")                                                           \
	int BPF_PROG(uring_completes_60, void *ring, struct io_kiocb *req)                         \
	{                                                                                          \
		return uring_io_ends(ctx, req);                                                    \
	}

/* FILE_IO_ENDS, and a beginning that takes all that are of stored files, or of paths. */
#define FILE_IO_PROGRAMS                                                                           \
	SEC("tp_btf/sys_enter") int BPF_PROG(call_begins, struct pt_regs *regs, long nr)           \
	{                                                                                          \
		const volatile struct file_call *call;                                             \
		struct file_call_files files;                                                      \
		bool is_32bit;                                                                     \
                                                                                                   \
		call = file_call_of(regs, FILE_IO_OPS | FILE_OPS_AIO, &is_32bit);                  \
		if (!call)                                                                         \
			return 0;                                                                  \
		if (file_call_aio(call, regs, is_32bit))                                           \
			return 0;                                                                  \
		files = file_call_files(call, regs, is_32bit);                                     \
		if (!file_call_stored(call, files))                                                \
			return 0;                                                                  \
		if (file_call_begins(regs, is_32bit, files) && call->path != NO_ARG)               \
			path_begins(call, regs, is_32bit);                                         \
		return 0;                                                                          \
	}                                                                                          \
	FILE_IO_ENDS
/* clang-format on */
