/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the kernel keeps account of for each thread anyway, taken over from there: every second all
 * threads are looked at, and each when it ends. Nothing runs in between, so it costs the same however
 * much they do. The probe says what is kept and where it is counted, then includes this:
 *
 *	#define THREAD_USED struct NAME		numbers of 64 bits that only grow
 *	static __always_inline void used_by(struct task_struct *task, THREAD_USED *used);
 *	static __always_inline bool has_used(const THREAD_USED *now, const THREAD_USED *before);
 *		It is enough to compare what grows late: of a thread that ends all is counted.
 *
 * and behind it count_used(), declared here, and three programs that call look_at(): at
 * iter/task (AT_START EVERY(1000)), sched_process_exit and sched_process_free.
 */
#pragma once

/* What a thread had used when it was looked at last. */
struct seen {
	THREAD_USED used;
	u64 start_ns; /* of the thread: another may get its memory */
	u32 wanted;   /* by the filters, when they were asked last */
	u32 lived;    /* it was there at a look: it has a row of its own */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* no lock of the scheduler is held here */
	__type(key, u64);                     /* struct task_struct */
	__type(value, struct seen);
} seen SEC(".maps");

/* Threads that are being looked at: one may end on one CPU while another is at it. (A lock in `seen`
 * would do, but 5.10 has none for these programs.) */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64); /* struct task_struct */
	__type(value, u8);
} looking SEC(".maps");

/* When the first look at all threads began. What older ones had used before it is not counted. */
u64 since_ns;

/* The thread has used more than `before`, or began since sonda did and is seen for the `first` time. */
static __noinline int count_used(struct task_struct *task, const struct seen *now,
				 const THREAD_USED *before, bool first);

static __always_inline bool process_lived(struct task_struct *task)
{
	u64 leader = (u64)task->group_leader;
	struct seen *s = bpf_map_lookup_elem(&seen, &leader);

	return s && s->lived;
}

/* When a thread is looked at: while it lives, when it ends, when nothing is left of it. */
enum look { LOOK_LIVES, LOOK_ENDS, LOOK_GONE };

/* False: somebody else is at it. Whoever gets it calls look_over() after it. */
static __always_inline bool look_alone(struct task_struct *task)
{
	u64 key = (u64)task;
	u8 nothing = 0;

	return !bpf_map_update_elem(&looking, &key, &nothing, BPF_NOEXIST);
}

static __always_inline void look_over(struct task_struct *task)
{
	u64 key = (u64)task;

	bpf_map_delete_elem(&looking, &key);
}

/* Counts what the thread has used since it was looked at last; true: it is one that is counted. */
static __always_inline bool thread_count(struct task_struct *task, enum look look)
{
	THREAD_USED nothing = {};
	const THREAD_USED *was = &nothing;
	struct seen now = {}, *before;
	u64 key = (u64)task;
	bool first = false, counts;

	before = bpf_map_lookup_elem(&seen, &key);
	/* later: it has the memory of one that was missed. Earlier: a thread took the first one's place
	 * in its process, by execve(2). */
	if (before && before->start_ns < task->start_boottime)
		before = NULL;
	used_by(task, &now.used);
	now.start_ns = task->start_boottime;
	/* what was left of a thread that has gone belongs to nobody any more, and can't be asked for */
	if (look == LOOK_GONE)
		now.wanted = before && before->wanted;
	else
		now.wanted = !sonda_conf.sets_on || task_in_filters(task);
	now.lived = look == LOOK_LIVES || (before ? before->lived : process_lived(task));
	if (before)
		was = &before->used;
	else if (!since_ns || now.start_ns < since_ns)
		was = &now.used;
	else
		first = true;
	counts = first || look == LOOK_ENDS || has_used(&now.used, was);
	if (now.wanted && counts)
		count_used(task, &now, was, first);
	/* what it may have used all the same is counted when it is plain that it has */
	if (before && !counts)
		now.used = *was;
	if (look == LOOK_GONE)
		bpf_map_delete_elem(&seen, &key);
	else if (before)
		*before = now;
	else if (bpf_map_update_elem(&seen, &key, &now, BPF_ANY))
		count_lost(LOSS_STATE);
	return now.wanted;
}

/* Is the thread one that is counted? With LOOK_GONE it is forgotten. What is not counted because somebody else is
 * at it is counted at the next look; when nothing is left of a thread nobody else is at it: the others only
 * look at those that have not ended, and the kernel waits for them. */
static __always_inline bool look_at(struct task_struct *task, enum look look)
{
	bool counted;

	if (sonda_conf.self && task->tgid == sonda_conf.self)
		return false;
	if (look == LOOK_GONE)
		return thread_count(task, look);
	if ((look == LOOK_LIVES && task->exit_state) || !look_alone(task))
		return false;
	counted = thread_count(task, look);
	look_over(task);
	return counted;
}

/* In the program at iter/task, of each thread. */
static __always_inline void look_begins(void)
{
	if (!since_ns)
		since_ns = bpf_ktime_get_boot_ns();
}
