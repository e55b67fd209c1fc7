/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Page faults. Their numbers are the kernel's own: each thread has two counters, which are looked at
 * once a second and when the thread exits, so that counting costs nothing where faults are many. Major
 * ones, which wait for a disk, are told one by one, minor ones if asked for; their start is where the
 * processor stopped.
 */
#include "sonda.bpf.h"

#include "kernel/signal.h"
#include "sonda/iter.h"
#include "sonda/took.h"

#include <linux/bpf_perf_event.h>

PROBE(fault, "memory", "Page faults: how many, and how long those took that waited for a disk");
FILTERS("task min");

PARAM(bool, minor, false,
      DOC("minor faults one by one too, and how long they took; then each costs a microsecond more"));

enum fault_kind { FAULT_KIND_MAJOR, FAULT_KIND_MINOR };

EVENT(fault, "A fault; a major one unless minor ones are asked for")
{
	struct task task;
	enum fault_kind kind DOC("major: a page had to be read from a file or from swap; minor: no wait for a disk");
	u64 address KIND("user_address") DOC("what the thread needed");
	s64 took_ns KIND("duration") DOC("time it stood still; -1: the start was not seen");
};

struct fault_labels {
	u32 pid KIND("pid") DOC("process");
	u32 uid KIND("uid") DOC("user it runs as");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u64 cgroup KIND("cgroup") DOC("cgroup v2 of the process");
};
struct fault_values {
	u64 major COUNTER DOC("faults that waited for a page from a file or from swap");
	u64 minor COUNTER DOC("all others: new memory, copies, pages that were there");
	HIST_LOG2(took_ns, 40, UNIT("ns") DOC("time a major fault took"));
	HIST_LOG2(minor_took_ns, 40, HIDE UNIT("ns") DOC("time a minor fault took, with --minor"));
};
METRICS(faults, struct fault_labels, struct fault_values, 8192, "Page faults");

/* A thread's counters as they were added last. */
struct counted {
	u64 start_ns;
	u64 major;
	u64 minor;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32); /* thread */
	__type(value, struct counted);
} threads SEC(".maps");

/* When the first look began: what threads had before it does not count. */
u64 first_look_ns;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct___faults {
	unsigned long min_flt;
	unsigned long maj_flt;
	u64 start_boottime;
};
#pragma clang attribute pop

static __noinline struct fault_values *row_for(struct task_struct *task)
{
	struct fault_labels key = {};

	if (label(faults, 0))
		key.pid = BPF_CORE_READ(task, tgid);
	if (label(faults, 1))
		key.uid = task_uid(task);
	if (label(faults, 2))
		BPF_CORE_READ_STR_INTO(&key.comm, task, comm);
	if (label(faults, 3))
		key.cgroup = task_cgroup_id(task);
	return row_of(faults, &key);
}

static __noinline struct counted *counted_of(u32 tid, const struct counted *now)
{
	struct counted *found = bpf_map_lookup_elem(&threads, &tid), first = {};

	if (!now || (found && found->start_ns == now->start_ns))
		return found;
	first.start_ns = now->start_ns;
	if (now->start_ns < first_look_ns) {
		first.major = now->major;
		first.minor = now->minor;
	}
	if (bpf_map_update_elem(&threads, &tid, &first, BPF_ANY))
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* Adds what the thread's counters have more than when they were last seen. */
static __noinline int count_thread(struct task_struct *task, u32 tid, const struct counted *now)
{
	struct counted *before = counted_of(tid, now);
	struct fault_values *row;

	if (!before || !now || (before->major == now->major && before->minor == now->minor) ||
	    (sonda_conf.sets_on && !task_in_filters(task)))
		return 0;
	row = row_for(task);
	if (!row)
		return 0;
	add(row->major, now->major - before->major);
	add(row->minor, now->minor - before->minor);
	*before = *now;
	return 0;
}

/* Plain loads: for the tasks that tp_btf and iterator programs are given. */
#define counted_now(task)                                                            \
	{                                                                            \
		.start_ns = ((struct task_struct___faults *)(task))->start_boottime, \
		.major = ((struct task_struct___faults *)(task))->maj_flt,           \
		.minor = ((struct task_struct___faults *)(task))->min_flt,           \
	}

AT_START EVERY(1000) AT_READING SEC("iter/task") int look(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (!first_look_ns)
		first_look_ns = bpf_ktime_get_boot_ns();
	if (!task || task->flags & PF_KTHREAD || task->tgid == sonda_conf.self || !tables_wanted())
		return 0;

	struct counted now = counted_now(task);

	return count_thread(task, task->pid, &now);
}

SEC("tp_btf/sched_process_exit") int BPF_PROG(thread_exits, struct task_struct *task)
{
	u32 tid = task->pid;

	if (task->flags & PF_KTHREAD || task->tgid == sonda_conf.self || !tables_wanted() ||
	    !first_look_ns)
		return 0;

	struct counted now = counted_now(task);

	count_thread(task, tid, &now);
	bpf_map_delete_elem(&threads, &tid);
	return 0;
}

#define START(rank) ALT(start, rank) OPTIONAL("how long faults took")

START(1) SEC("?tp_btf/page_fault_user") int BPF_PROG(user_faults)
{
	call_begins();
	return 0;
}

START(1) SEC("?tp_btf/page_fault_kernel") int BPF_PROG(kernel_faults)
{
	call_begins();
	return 0;
}

static __always_inline int fault_over(struct bpf_perf_event_data *ctx, enum fault_kind kind)
{
	s64 took_ns = call_took();
	struct fault_values *row;
	struct fault *e;

	if (!wanted() || !notable(0, took_ns < 0 ? 0 : took_ns))
		return 0;
	if (tables_wanted() && took_ns >= 0) {
		row = row_for(current_task());
		if (row && kind == FAULT_KIND_MAJOR)
			observe(row->took_ns, took_ns);
		else if (row)
			observe(row->minor_took_ns, took_ns);
	}
	if (!events_wanted())
		return 0;
	e = event_new(fault);
	if (!e)
		return 0;
	task_now(&e->task);
	e->kind = kind;
	e->address = ctx->addr;
	e->took_ns = took_ns;
	event_send(ctx, e);
	return 0;
}

#define EACH_FAULT(kind) \
	ALT(kind, 1) OPTIONAL("single " #kind " faults") TARGETS(#kind "-faults:each")

EACH_FAULT(major) SEC("?perf_event") int major_fault(struct bpf_perf_event_data *ctx)
{
	return fault_over(ctx, FAULT_KIND_MAJOR);
}

EACH_FAULT(minor) IF_SET(minor) SEC("?perf_event") int minor_fault(struct bpf_perf_event_data *ctx)
{
	return fault_over(ctx, FAULT_KIND_MINOR);
}
