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

/* What a call returns inside the kernel when a signal came: it is made again, or gives EINTR. */
#define ERESTARTSYS           512
#define ERESTART_RESTARTBLOCK 516

static __always_inline bool syscall_is_interrupted(long ret)
{
	return ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK;
}

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

/* Is the task's call a 32-bit one? Then its number is of another table: x86_32's. */
static __always_inline bool task_syscall_is_32bit(struct task_struct *of)
{
	struct task_struct___thread_info *task = (void *)of;

	if (DIRECT)
		return direct(struct task_struct___thread_info, task)->thread_info.status & 2;
	return BPF_CORE_READ(task, thread_info.status) & 2 /* TS_COMPAT */;
}

/* The current call? */
static __always_inline bool syscall_is_32bit(void)
{
	if (DIRECT)
		return ((struct task_struct___thread_info *)bpf_get_current_task_btf())
			       ->thread_info.status & 2;
	return task_syscall_is_32bit(current_task());
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

/* The registers with which a task came into the kernel: at the top of its stack. From 5.15 on a helper
 * tells where; before, nothing lay above them. `task`: as a tp_btf program was given it. */
#define THREAD_SIZE 16384
static __always_inline const struct pt_regs *task_regs(struct task_struct *task)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (const struct pt_regs *)bpf_task_pt_regs(task);
	return (const struct pt_regs *)(BPF_CORE_READ((struct task_struct___stack *)task, stack) +
					THREAD_SIZE) - 1;
}

/* The call that a task is in, which need not run; -1: in none. `task`: as a tp_btf program was given
 * it, or current_task(). */
static __always_inline s32 task_call(struct task_struct *task)
{
	struct task_struct___stack *t = (void *)task;
	u32 flags = DIRECT ? direct(struct task_struct___stack, t)->flags : BPF_CORE_READ(t, flags);
	long nr = -1;

	if (flags & 0x00200000 /* PF_KTHREAD */)
		return -1;
	if (DIRECT)
		nr = direct(struct pt_regs, task_regs(task))->orig_rax;
	else
		bpf_probe_read_kernel(&nr, sizeof(nr), &task_regs(task)->orig_rax);
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
	for (int nth = 0; nth < 6; nth++)
		args[nth] = syscall_arg(regs, nth, is_32bit);
}

/* Those of another task, without room for all registers on the stack. */
static __always_inline void task_syscall_args(u64 args[6], struct task_struct *task, bool is_32bit)
{
	const struct pt_regs *regs = task_regs(task);

#define READ(n, reg, reg32)                                                                     \
	bpf_probe_read_kernel(&args[n], sizeof(args[n]), is_32bit ? &regs->reg32 : &regs->reg); \
	args[n] = is_32bit ? (u32)args[n] : args[n];
	READ(0, rdi, rbx)
	READ(1, rsi, rcx)
	READ(2, rdx, rdx)
	READ(3, r10, rsi)
	READ(4, r8, rdi)
	READ(5, r9, rbp)
#undef READ
}

#endif
