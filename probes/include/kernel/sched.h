/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The scheduler: run queues, what it keeps of each task, CPU bandwidth of task groups. Only the
 * fields used. To be read by plain loads: pointers come from tp_btf and iterator programs.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct rq {
	u64 clock;      /* ns; set when the scheduler was entered */
	u64 clock_pelt; /* the same without what a slower CPU didn't get done */
	unsigned long lost_idle_time;
	u64 prev_steal_time_rq; /* ns that the hypervisor took, so far */
};

struct cfs_rq {
	struct rq *rq;
	struct task_group *tg;
	u64 throttled_clock_pelt;      /* when it was throttled last */
	u64 throttled_clock_pelt_time; /* how long it was throttled, of all times that are over */
};

/* A group's share of CPU time: `quota` in each `period`. */
struct cfs_bandwidth {
	s64 period; /* ns */
	u64 quota;  /* ns; NO_QUOTA */
	int nr_periods;
	int nr_throttled;   /* periods in which it was used up on some CPU */
	u64 throttled_time; /* ns, of all CPUs together */
};

struct task_group {
	struct cgroup_subsys_state css;
	struct task_group *parent;
	struct cfs_bandwidth cfs_bandwidth;
};

struct sched_entity {
	unsigned char
		sched_delayed; /* since 6.12: it sleeps, but has still to be taken off its queue */
	u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq; /* where it is queued, of its group and CPU */
};

/* Kept whenever the kernel has CONFIG_SCHED_INFO, which everybody's has (/proc/PID/schedstat). */
struct sched_info {
	unsigned long pcount;            /* times it got a CPU */
	unsigned long long run_delay;    /* ns it waited for one; a wait is added when it is over */
	unsigned long long last_arrival; /* rq clock when it got one last */
	unsigned long long last_queued; /* rq clock since when it waits in this queue; 0: doesn't */
};

struct task_struct___sched {
	int pid;
	int tgid;
	unsigned int __state;
	unsigned int on_rq; /* u8 in 7.x */
	struct sched_entity se;
	struct sched_info sched_info;
	struct task_group *sched_task_group;
	u64 utime;
	u64 stime;
	unsigned long nvcsw;
	unsigned long nivcsw;
	unsigned int in_iowait : 1;
	bool throttled; /* since 6.18 tasks are throttled one by one, when they return to user mode */
};
/* task_struct.state was renamed in 5.14 (2f064a59a11f) */
struct task_struct___state {
	volatile long state;
};

#pragma clang attribute pop

#define NO_QUOTA (~0ull)

#define TASK_INTERRUPTIBLE   0x0001
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_STOPPED         0x0004
#define TASK_TRACED          0x0008
#define TASK_DEAD            0x0080
#define TASK_WAKING          0x0200
#define TASK_NOLOAD          0x0400
#define TASK_RTLOCK_WAIT     0x1000 /* on real-time kernels; before 5.16 another state had it */

/* 0: it runs or could. Of a pointer that may be read by plain loads. */
static __always_inline u32 task_state(const struct task_struct *task)
{
	if (bpf_core_field_exists(((struct task_struct___sched *)task)->__state))
		return ((const struct task_struct___sched *)task)->__state;
	return ((const struct task_struct___state *)task)->state;
}

static __always_inline bool task_in_iowait(const struct task_struct *task)
{
	return BPF_CORE_READ_BITFIELD((struct task_struct___sched *)task, in_iowait);
}

/* Is it still in a run queue, not asleep? */
static __always_inline bool task_is_queued(const struct task_struct *task)
{
	const struct task_struct___sched *t = (void *)task;

	if (!t->on_rq)
		return false;
	return !bpf_core_field_exists(t->se.sched_delayed) || !t->se.sched_delayed;
}
