/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Stacks of threads that give up the CPU, as fields and as labels: what tests/live/stacks.t watches. */
#define STACKS_KEPT 1024
#include "sonda.bpf.h"

#include "sonda/stack.h"

PROBE(stacks, "example", "Stacks of threads that give up the CPU");
FILTERS("task");

EVENT(stacks, "A thread waits for something")
{
	struct task task;
	struct stack ustack KIND("ustack") DOC("where in the program");
	struct stack kstack KIND("kstack") DOC("where in the kernel");
	u32 next_pid KIND("pid") HIDE DOC("process that goes on");
	struct stack next_kstack KIND("kstack") HIDE DOC("where in the kernel");
};

struct wait_labels {
	char comm[16] KIND("comm") DOC("who waits");
	struct stack_id ustack KIND("ustack") DOC("where in the program");
	struct stack_id kstack KIND("kstack") DOC("where in the kernel");
};
struct wait_values {
	u64 waits COUNTER DOC("times that it began to wait");
};
METRICS(waits, struct wait_labels, struct wait_values, 1024, "Waits by stack");

static __noinline int count_wait(void *ctx)
{
	struct wait_labels key = {};
	struct wait_values *row;

	if (label(waits, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(waits, 1))
		key.ustack = stack_id_user(ctx);
	if (label(waits, 2))
		key.kstack = stack_id_kernel(ctx);
	row = row_of(waits, &key);
	if (row)
		add(row->waits, 1);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(wait_begins, bool preempted, struct task_struct *prev, struct task_struct *next)
{
	struct stacks *e;

	if (preempted || !wanted())
		return 0;
	if (tables_wanted())
		count_wait(ctx);
	if (!events_wanted())
		return 0;
	e = event_new(stacks);
	if (!e)
		return 0;
	task_now(&e->task);
	stack_user(ctx, e, ustack);
	stack_kernel(ctx, e, kstack);
	e->next_pid = BPF_CORE_READ(next, tgid);
	stack_task(e, next_kstack, next);
	event_send(ctx, e);
	return 0;
}
