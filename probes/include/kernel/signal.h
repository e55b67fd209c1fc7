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
