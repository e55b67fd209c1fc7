/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What all threads of a process share (signal_struct): how it ended, the times of its dead
 * threads, its terminal. Nothing here changed in name or place from 5.8 to 7.x.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

struct tty_struct {
	char name[64];
};

struct signal_struct {
	struct {
		int counter;
	} live; /* threads that have not begun to exit */
	struct list_head thread_head;
	int group_exit_code;
	u32 flags;
	struct tty_struct *tty;
	/* of threads that are gone: */
	u64 utime;
	u64 stime;
	u64 sum_sched_runtime;
	unsigned long maxrss; /* pages */
};

struct task_struct___signal {
	struct signal_struct *signal;
	struct list_head thread_node;
	struct {
		u64 sum_exec_runtime;
	} se;
	u64 utime;
	u64 stime;
};

#pragma clang attribute pop

#define SIGNAL_GROUP_EXIT 0x00000004
#define PF_KTHREAD        0x00200000

static __always_inline struct signal_struct *task_signal(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___signal *)task, signal);
}

/* What wait(2) tells the parent of a process whose last thread has exited. */
static __always_inline u32 process_wait_status(struct task_struct *leader)
{
	struct signal_struct *signal = task_signal(leader);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(leader, exit_code);
}

/* --- signals --- */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernel_siginfo {
	int si_code;
};
struct sigaction {
	void *sa_handler;
};
struct k_sigaction {
	struct sigaction sa;
};
struct sighand_struct {
	struct k_sigaction action[64];
};
struct task_struct___signals {
	struct sighand_struct *sighand;
	struct {
		unsigned long sig[1];
	} blocked;
};

#pragma clang attribute pop

enum {
	SIG_ILL = 4,
	SIG_TRAP = 5,
	SIG_BUS = 7,
	SIG_FPE = 8,
	SIG_KILL = 9,
	SIG_SEGV = 11,
	SIG_ALRM = 14,
	SIG_CHLD = 17,
	SIG_CONT = 18,
	SIG_STOP = 19,
	SIG_XCPU = 24,
	SIG_VTALRM = 26,
	SIG_PROF = 27,
	SIG_SYS = 31,
};
/* Sets of signals, as bits. */
#define SIG_BIT(number)   (1ull << ((number)-1))
#define SIGS_NOT_TO_BLOCK (SIG_BIT(SIG_KILL) | SIG_BIT(SIG_STOP))
#define SIGS_OF_FAULTS                                                                \
	(SIG_BIT(SIG_ILL) | SIG_BIT(SIG_TRAP) | SIG_BIT(SIG_BUS) | SIG_BIT(SIG_FPE) | \
	 SIG_BIT(SIG_SEGV) | SIG_BIT(SIG_SYS))
#define SIGS_OF_TIMERS \
	(SIG_BIT(SIG_ALRM) | SIG_BIT(SIG_XCPU) | SIG_BIT(SIG_VTALRM) | SIG_BIT(SIG_PROF))
/* What they do where no handler is set; all others end the process. */
#define SIGS_THAT_STOP      (SIG_BIT(SIG_STOP) | SIG_BIT(20) | SIG_BIT(21) | SIG_BIT(22))
#define SIGS_WITHOUT_EFFECT (SIG_BIT(SIG_CHLD) | SIG_BIT(23 /* URG */) | SIG_BIT(28 /* WINCH */))
#define SIGS_THAT_DUMP                                                                        \
	(SIGS_OF_FAULTS | SIG_BIT(3 /* QUIT */) | SIG_BIT(6 /* ABRT */) | SIG_BIT(SIG_XCPU) | \
	 SIG_BIT(25 /* XFSZ */))

/* How a signal came about (si_code); those above 0 are the kernel's. */
enum {
	SIGNAL_BY_KILL = 0,
	SIGNAL_BY_QUEUE = -1,
	SIGNAL_BY_TIMER = -2,
	SIGNAL_BY_MESGQ = -3,
	SIGNAL_BY_ASYNCIO = -4,
	SIGNAL_BY_SIGIO = -5,
	SIGNAL_BY_TKILL = -6,
	SIGNAL_BY_KERNEL = 0x80,
};

/* The tracepoints' `info` is one of two small numbers or an address. */
static __always_inline int signal_code(u64 info)
{
	if (info <= 1)
		return info ? SIGNAL_BY_KERNEL : SIGNAL_BY_KILL;
	return BPF_CORE_READ((struct kernel_siginfo *)info, si_code);
}

/* What the process has set for the signal: 0 the default, 1 to ignore it, else its handler. */
static __always_inline unsigned long signal_handler(struct task_struct *task, u32 number)
{
	struct sighand_struct *sighand =
		BPF_CORE_READ((struct task_struct___signals *)task, sighand);
	struct k_sigaction *action = (void *)sighand +
				     bpf_core_field_offset(struct sighand_struct, action) +
				     (u64)(number - 1) * bpf_core_type_size(struct k_sigaction);

	return (unsigned long)BPF_CORE_READ(action, sa.sa_handler);
}

/* Threads looked at for one that does not block a signal. */
#define SIGNAL_THREADS_MAX 32

static __always_inline bool thread_blocks(struct task_struct *task, u64 bit)
{
	return BPF_CORE_READ((struct task_struct___signals *)task, blocked.sig[0]) & bit;
}

/* Does every thread of the process block the signal? */
static __noinline bool process_blocks(struct task_struct *task, u64 bit)
{
	struct signal_struct *signal = task_signal(task);
	void *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	struct list_head *node = BPF_CORE_READ(signal, thread_head.next);
	bool all = true;
	void *thread;

	for (int i = 0; i < SIGNAL_THREADS_MAX && all; i++) {
		if (node == head || !node)
			break;
		thread = (void *)node -
			 bpf_core_field_offset(struct task_struct___signal, thread_node);
		all = thread_blocks(thread, bit);
		node = BPF_CORE_READ(node, next);
	}
	return all;
}
