/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Where a kernel lets nobody refuse an operation: it is seen when it has been done, at the end of the
 * system call, by the file that the descriptor leads to; and the process is killed, before it can
 * use what it got, where its rule accepts that. The rules are found and judged as everywhere.
 *
 * Part of file.bpf.c. Descriptors are looked up at the call's exit: what another thread puts in the
 * place of one meanwhile is taken for what was opened.
 */
#include "kernel/syscall.h"
#include "kernel/uring.h"

#include <asm/unistd.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct linux_binprm___file {
	struct file *file;
};

#pragma clang attribute pop

#define SIGKILL       9
#define FMODE_CREATED 0x100000 /* the open made the file */

/* A verdict on what has been done. */
static __always_inline void judge_done(void *ctx, u32 operations, struct file *file)
{
	if (operations && judge_file(ctx, FILE_STRENGTH_AFTER, operations, file))
		bpf_send_signal(SIGKILL);
}

/* ---- descriptors ---- */

/* Calls that give a descriptor: their numbers here and in 32-bit programs, and which argument has the
 * flags of open(2) (NO_FLAGS: none, or out of sight). */
#ifndef __NR_open /* newer machines have only openat */
#define __NR_open  -1
#define __NR_creat -1
#endif
#define NO_FLAGS 6
#define GIVING_CALLS(X)                   \
	X(__NR_openat, 295, 2)            \
	X(__NR_open, 5, 1)                \
	X(__NR_creat, 8, NO_FLAGS)        \
	X(__NR_openat2, 437, NO_FLAGS)    \
	X(__NR_open_by_handle_at, 342, 2) \
	X(__NR_pidfd_getfd, 438, NO_FLAGS)

#define NR32_MMAP2 192
#define MAP_FD     4 /* the argument */
#define MAP_PROT   2

/* The argument with the flags of the call `nr`; -1: it gives no descriptor. */
static __always_inline int flags_at(long nr, bool *ret_32bit)
{
#define X(nr64, nr32, at) || nr == nr64 || nr == nr32
	if (!(false GIVING_CALLS(X)))
		return -1;
#undef X
	*ret_32bit = syscall_is_32bit();
#define X(nr64, nr32, at)                     \
	if (nr == (*ret_32bit ? nr32 : nr64)) \
		return at;
	GIVING_CALLS(X)
#undef X
	return -1;
}

static __always_inline u32 opened_operations(u32 mode, u64 flags)
{
	return mode_operations(mode) | (mode & FMODE_CREATED ? FILE_OPERATION_CREATE : 0) |
	       (flags & O_TRUNC ? FILE_OPERATION_WRITE : 0);
}

static __noinline int descriptor_given(void *ctx, u32 fd, u64 flags)
{
	struct file *file = file_of_fd(fd);

	if (!file)
		return 0;
	file = direct(struct file, file);
	judge_done(ctx, opened_operations(file->f_mode, flags), file);
	return 0;
}

static __noinline int descriptor_mapped(void *ctx, u32 fd)
{
	struct file *file = file_of_fd(fd);

	if (file)
		judge_done(ctx, FILE_OPERATION_EXEC, direct(struct file, file));
	return 0;
}

static __always_inline bool maps_to_run(const struct pt_regs *regs, long nr, bool is_32bit)
{
	u64 prot;

	if (nr != (is_32bit ? NR32_MMAP2 : __NR_mmap))
		return false;
	prot = syscall_arg(regs, MAP_PROT, is_32bit);
	return prot & PROT_EXEC || (prot & PROT_READ && reads_imply_exec());
}

/* A kernel that has no file read by plain loads would need all of file_rules.h a second time. */
#define AFTER        NEED("kfunc bpf_rdonly_cast")
#define AFTER_OPENED AFTER OPTIONAL("files opened (of use only where nothing can be refused)")
#define AFTER_RUN    AFTER OPTIONAL("programs run (of use only where nothing can be refused)")

/* clang-format off */
ALT(opens_after, 1) AFTER_OPENED SEC("?tp_btf/sys_exit")
int BPF_PROG(call_returns, struct pt_regs *regs, long ret)
/* clang-format on */
{
	long nr = syscall_nr(regs);
	bool is_32bit = false;
	int at;

	if (nr == __NR_mmap || nr == NR32_MMAP2) {
		is_32bit = syscall_is_32bit();
		if (ret < 0 && ret > -4096)
			return 0;
		if (maps_to_run(regs, nr, is_32bit))
			descriptor_mapped(ctx, syscall_arg(regs, MAP_FD, is_32bit));
		return 0;
	}
	at = flags_at(nr, &is_32bit);
	if (at >= 0 && ret >= 0)
		descriptor_given(ctx, ret, at == NO_FLAGS ? 0 : syscall_arg(regs, at, is_32bit));
	return 0;
}

/* From 6.0 on the tracepoint tells the request. A file in the ring's own table has no descriptor. */
/* clang-format off */
ALT(uring_after, 1) AFTER OPTIONAL("opens through io_uring") NEED("type io_cmd_data")
SEC("?tp_btf/io_uring_complete")
int BPF_PROG(request_completes, void *ring, struct io_kiocb *req)
/* clang-format on */
{
	u8 op = BPF_CORE_READ(req, opcode);
	s32 fd = BPF_CORE_READ(req, cqe.res);

	if ((op == URING_OPENAT || op == URING_OPENAT2) && fd >= 0 &&
	    !BPF_CORE_READ(uring_open(req), file_slot))
		descriptor_given(ctx, fd, 0);
	return 0;
}

/* ---- programs ---- */

/* Of a script this is its interpreter. */
static __always_inline struct file *program_file(struct linux_binprm *bprm)
{
	return ((struct linux_binprm___file *)bprm)->file;
}

/* Before the old program is given up, so that it is still the subject. */
/* clang-format off */
ALT(runs_after, 1) AFTER_RUN SEC("?tp_btf/sched_prepare_exec")
int BPF_PROG(exec_prepares, struct task_struct *task, struct linux_binprm *bprm)
{
	judge_done(ctx, FILE_OPERATION_EXEC, program_file(bprm));
	return 0;
}

/* Before 6.10: the new program is the subject, so that conditions about it can't be kept. */
ALT(runs_after, 2) AFTER_RUN SEC("?tp_btf/sched_process_exec")
int BPF_PROG(exec_done, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	judge_done(ctx, FILE_OPERATION_EXEC, program_file(bprm));
	return 0;
}
/* clang-format on */
