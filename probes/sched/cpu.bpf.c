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
	u32 pid KIND("pid")
		DOC("process; 0: those of this name that began and ended between two looks");
	u32 tid KIND("tid") HIDE
		DOC("thread; 0: of processes that began and ended between two looks");
	char comm[16] KIND("comm")
		DOC("command name of the process; beside tid that of the thread");
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

#define THREAD_USED struct cpu_values

static __always_inline void used_by(struct task_struct *of, struct cpu_values *used)
{
	struct task_struct___sched *task = (void *)of;

	used->cpu_ns = task->se.sum_exec_runtime;
	used->system_ns = task->stime;
	used->waited_ns = task->sched_info.run_delay;
	used->sleeps = task->nvcsw;
	used->preempted = task->nivcsw;
}

static __always_inline bool has_used(const struct cpu_values *now, const struct cpu_values *before)
{
	return now->cpu_ns != before->cpu_ns || now->waited_ns != before->waited_ns;
}

#include "sonda/threads.h"

static __noinline int count_used(struct task_struct *task, const struct seen *now,
				 const struct cpu_values *before, bool first)
{
	struct cpu_labels key = {};
	struct cpu_values *row;

	if (!now || !before)
		return 0;
	if (label(cpu, 0) && now->lived)
		key.pid = BPF_CORE_READ(task, tgid);
	if (label(cpu, 1) && now->lived)
		key.tid = BPF_CORE_READ(task, pid);
	if (label(cpu, 2)) {
		struct task_struct *named = key.tid ? task : BPF_CORE_READ(task, group_leader);

		BPF_CORE_READ_STR_INTO(&key.comm, named, comm);
	}
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

AT_START EVERY(1000) AT_READING SEC("iter/task") int each_thread(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	look_begins();
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
	look_at(task, LOOK_GONE);
	return 0;
}
