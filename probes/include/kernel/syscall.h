/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * System calls, seen three ways:
 *
 *	SEC("tp/syscalls/sys_enter_openat")	struct syscall_trace_enter *ctx
 *	SEC("tp/raw_syscalls/sys_enter")	struct trace_event_raw_sys_enter *ctx
 *	SEC("tp_btf/sys_enter")			(struct pt_regs *regs, long nr); see syscall_arg()
 *
 * and _exit alike. The first two contexts are not the same: the kernel puts `nr` as an int right
 * behind the trace entry in the first, as a long in the second. Where the entry is longer than
 * upstream's 8 bytes (RHEL), only the right one of the two has the right offsets in the kernel's BTF.
 * The first does not see 32-bit calls on a 64-bit kernel; the other two do.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct syscall_trace_enter {
	int nr;
	unsigned long args[6];
};
struct syscall_trace_exit {
	int nr;
	long ret;
};
struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
};
struct trace_event_raw_sys_exit {
	long id;
	long ret;
};

#pragma clang attribute pop

struct thread_info {
	unsigned long flags;
	u32 status;
} __attribute__((preserve_access_index));
struct task_struct___stack {
	unsigned int flags;
	void *stack;
} __attribute__((preserve_access_index));
struct task_struct___thread_info {
	struct thread_info thread_info;
} __attribute__((preserve_access_index));

/*
 * The registers of a call, at its entry and at its exit: SEC("tp_btf/sys_enter") gives
 * (struct pt_regs *regs, long nr), SEC("tp_btf/sys_exit") (struct pt_regs *regs, long ret).
 * Arguments are still there at exit, so nothing needs to be kept from the entry.
 */
#if defined(__TARGET_ARCH_x86)

#define SYSCALLS_32BIT 1
#define SYSCALL_NR_X32 0x40000000 /* the x32 ABI's calls: the same numbers with this bit */

/* As it was asked for; -1: the registers are those from before a signal (rt_sigreturn). */
static __always_inline long syscall_nr_raw(const struct pt_regs *regs)
{
	return regs->orig_rax;
}

static __always_inline long syscall_nr(const struct pt_regs *regs)
{
	return regs->orig_rax & ~SYSCALL_NR_X32;
}

/* Is the current call a 32-bit one? Then its number is of another table: x86_32's. */
static __always_inline bool syscall_is_32bit(void)
{
	struct task_struct___thread_info *task = (void *)current_task();

	if (DIRECT)
		return direct(struct task_struct___thread_info, task)->thread_info.status & 2;
	return BPF_CORE_READ(task, thread_info.status) & 2 /* TS_COMPAT */;
}

/* No array: 5.10 can't index one on the stack by what it doesn't know. */
static __always_inline u64 syscall_arg(const struct pt_regs *regs, u32 nth, bool is_32bit)
{
	if (is_32bit)
		return (u32)(nth == 0   ? regs->rbx
			     : nth == 1 ? regs->rcx
			     : nth == 2 ? regs->rdx
			     : nth == 3 ? regs->rsi
			     : nth == 4 ? regs->rdi
					: regs->rbp);
	return nth == 0   ? regs->rdi
	       : nth == 1 ? regs->rsi
	       : nth == 2 ? regs->rdx
	       : nth == 3 ? regs->r10
	       : nth == 4 ? regs->r8
			  : regs->r9;
}

/* The call that a task is in, which need not run; -1: in none. `task`: as a tp_btf program was given
 * it, or current_task(). */
static __always_inline s32 task_call(struct task_struct *task)
{
	struct task_struct___stack *t = (void *)task;
	struct pt_regs *regs;
	long nr = -1;

	if (BPF_CORE_READ(t, flags) & 0x00200000 /* PF_KTHREAD */)
		return -1;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		regs = (void *)bpf_task_pt_regs(task);
		nr = regs->orig_rax;
	} else { /* before 5.15: what the helper does */
		regs = (struct pt_regs *)(BPF_CORE_READ(t, stack) + 16384) - 1;
		bpf_probe_read_kernel(&nr, sizeof(nr), &regs->orig_rax);
	}
	return nr < 0 ? -1 : nr & ~SYSCALL_NR_X32;
}

/* The same of the current task. */
static __always_inline s32 current_call(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return task_call(bpf_get_current_task_btf());
	return task_call(current_task());
}

/* All of them. */
static __always_inline void syscall_args(u64 args[6], const struct pt_regs *regs, bool is_32bit)
{
	args[0] = is_32bit ? (u32)regs->rbx : regs->rdi;
	args[1] = is_32bit ? (u32)regs->rcx : regs->rsi;
	args[2] = is_32bit ? (u32)regs->rdx : regs->rdx;
	args[3] = is_32bit ? (u32)regs->rsi : regs->r10;
	args[4] = is_32bit ? (u32)regs->rdi : regs->r8;
	args[5] = is_32bit ? (u32)regs->rbp : regs->r9;
}

#endif
