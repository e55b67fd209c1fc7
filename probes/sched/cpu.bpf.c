/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * On-CPU time by process and cgroup. The scheduler keeps it for each thread, to the nanosecond; so
 * each second all threads are looked at, and those that end when they do. Nothing runs when a CPU
 * changes threads, so it costs the same however busy the machine is, and a thread that runs for
 * minutes without a switch is told like any other.
 */
#include "sonda.bpf.h"
#include "kernel/sched.h"
#include "sonda/iter.h"

PROBE(cpu, "sched", "CPU time of processes and cgroups, and how much they waited for it");
FILTERS("task");

struct cpu_labels {
	u32 pid KIND("pid") DOC("process; 0: those of this name that lived less than a second");
	u32 tid KIND("tid") HIDE DOC("thread; 0: of processes that lived less than a second");
	char comm[16] KIND("comm") DOC("command name of the process");
	u64 cgroup KIND("cgroup") DOC("cgroup v2 of the thread");
};
struct cpu_values {
	u64 cpu_ns COUNTER UNIT("ns") DOC("CPU time used");
	u64 system_ns COUNTER UNIT("ns") DOC("of it in the kernel, as the timer's ticks found it");
	u64 waited_ns COUNTER UNIT("ns") DOC("time it could have run but had no CPU");
	u64 sleeps
		COUNTER DOC("times that it gave up the CPU because it had to wait for something");
	u64 preempted COUNTER DOC("times that it had to give up the CPU to others");
};
METRICS(cpu, struct cpu_labels, struct cpu_values, 8192, "CPU time");

/* What a thread had used when it was looked at last. */
struct seen {
	struct cpu_values used;
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

/* When the first look at all threads began. What older ones had used before it is not counted. */
u64 since_ns;

static __always_inline void used_by(struct task_struct___sched *task, struct cpu_values *used)
{
	used->cpu_ns = task->se.sum_exec_runtime;
	used->system_ns = task->stime;
	used->waited_ns = task->sched_info.run_delay;
	used->sleeps = task->nvcsw;
	used->preempted = task->nivcsw;
}

static __noinline int count_used(struct task_struct *task, const struct seen *now,
				 const struct cpu_values *before)
{
	struct cpu_labels key = {};
	struct cpu_values *row;

	if (!now || !before)
		return 0;
	if (label(cpu, 0) && now->lived)
		key.pid = BPF_CORE_READ(task, tgid);
	if (label(cpu, 1) && now->lived)
		key.tid = BPF_CORE_READ(task, pid);
	if (label(cpu, 2))
		BPF_CORE_READ_STR_INTO(&key.comm, task, group_leader, comm);
	if (label(cpu, 3))
		key.cgroup = task_cgroup_id(task);
	row = row_of(cpu, &key);
	if (!row)
		return 0;
	add(row->cpu_ns, now->used.cpu_ns - before->cpu_ns);
	add(row->system_ns, now->used.system_ns - before->system_ns);
	add(row->waited_ns, now->used.waited_ns - before->waited_ns);
	add(row->sleeps, now->used.sleeps - before->sleeps);
	add(row->preempted, now->used.preempted - before->preempted);
	return 0;
}

static __always_inline bool has_run(const struct cpu_values *now, const struct cpu_values *before)
{
	return now->cpu_ns != before->cpu_ns || now->waited_ns != before->waited_ns;
}

static __always_inline bool process_lived(struct task_struct *task)
{
	u64 leader = (u64)task->group_leader;
	struct seen *s = bpf_map_lookup_elem(&seen, &leader);

	return s && s->lived;
}

/* When a thread is looked at: while it lives, when it ends, when nothing is left of it. */
enum look { LOOK_LIVES, LOOK_ENDS, LOOK_GONE };

static __always_inline void look_at(struct task_struct *task, enum look look)
{
	struct cpu_values nothing = {};
	const struct cpu_values *was = &nothing;
	struct seen now = {}, *before;
	u64 key = (u64)task;

	if (sonda_conf.self && task->tgid == sonda_conf.self)
		return;
	before = bpf_map_lookup_elem(&seen, &key);
	if (before && before->start_ns != task->start_boottime)
		before = NULL;
	used_by((void *)task, &now.used);
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
	if (now.wanted && has_run(&now.used, was))
		count_used(task, &now, was);
	if (before)
		*before = now;
	else if (look != LOOK_GONE && bpf_map_update_elem(&seen, &key, &now, BPF_ANY))
		count_lost(LOSS_STATE);
}

AT_START EVERY(1000) SEC("iter/task") int each_thread(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!since_ns)
		since_ns = bpf_ktime_get_boot_ns();
	if (task)
		look_at(task, LOOK_LIVES);
	return 0;
}

SEC("tp_btf/sched_process_exit") int BPF_PROG(thread_ends, struct task_struct *task)
{
	look_at(task, LOOK_ENDS);
	return 0;
}

SEC("tp_btf/sched_process_free") int BPF_PROG(thread_gone, struct task_struct *task)
{
	u64 key = (u64)task;

	look_at(task, LOOK_GONE);
	bpf_map_delete_elem(&seen, &key);
	return 0;
}
