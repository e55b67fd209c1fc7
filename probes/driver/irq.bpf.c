/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Where interrupts spend a CPU's time: handlers of devices by line, soft interrupts by vector, and the
 * CPUs' own (timer, calls between CPUs), which no line of a device shows.
 *
 * On one CPU a soft interrupt may be interrupted by another kind, but no kind by itself: one place for
 * each is enough, and what the others took meanwhile is taken from a soft interrupt's time.
 */
#include "sonda.bpf.h"

#include "kernel/irq.h"

PROBE(irq, "driver", "Interrupts: how many, and the CPU time they took");
FILTERS("min=1ms");

enum irq_kind {
	IRQ_HARD,  /* a device's handler */
	IRQ_SOFT,  /* what handlers left to be done right after them */
	IRQ_LOCAL, /* of the CPUs themselves */
};

EVENT(irq, "An interrupt held a CPU for long")
{
	struct task task; /* who was interrupted */
	enum irq_kind kind DOC("hard: a device's handler; soft: work put off to right after it; "
			       "local: of the CPUs themselves");
	u32 line DOC("number of the line as in /proc/interrupts; soft: of the vector");
	char name[24] KIND("str") DOC("handler, as in /proc/interrupts or /proc/softirqs");
	u32 cpu DOC("where");
	u64 took_ns KIND("duration") DOC("time in it, without what interrupted it");
};

struct irq_labels {
	enum irq_kind kind DOC("hard, soft or local");
	u32 line DOC("number of the line; soft and local: of the vector");
	char name[24] KIND("str") DOC("handler or vector");
	u32 cpu HIDE DOC("where");
	char comm[16] HIDE KIND("comm") DOC("who was interrupted");
	u32 irq HIDE DOC("number of the line, of a device's handler only");
};
struct irq_values {
	u64 time_ns COUNTER UNIT("ns") DOC("CPU time they took");
	u64 count COUNTER DOC("times");
	u64 unhandled COUNTER DOC("times that a handler on a shared line said it was not for its device");
	HIST_LOG2(took_ns, 32, UNIT("ns") DOC("time of one"));
};
METRICS(irq, struct irq_labels, struct irq_values, 2048, "Interrupts");

struct irq_place {
	u64 began_ns[3]; /* 0: its begin was not seen */
	u64 inner_ns;    /* of hard and local ones, ever */
	u64 inner_then;  /* the same when the soft one began */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct irq_place);
} places SEC(".maps");

static __always_inline int irq_begins(enum irq_kind kind)
{
	u32 zero = 0;
	struct irq_place *place = bpf_map_lookup_elem(&places, &zero);

	if (!place)
		return 0;
	place->began_ns[kind] = bpf_ktime_get_ns();
	if (kind == IRQ_SOFT)
		place->inner_then = place->inner_ns;
	return 0;
}

/* Time of the one that ends now; -1: its begin was not seen. */
static __always_inline s64 irq_took(enum irq_kind kind)
{
	u32 zero = 0;
	struct irq_place *place = bpf_map_lookup_elem(&places, &zero);
	u64 took_ns, inner_ns;

	if (!place || !place->began_ns[kind])
		return -1;
	/* first, or what interrupts this after the clock was read is taken off a time it is not in */
	inner_ns = *(volatile u64 *)&place->inner_ns;
	took_ns = bpf_ktime_get_ns() - place->began_ns[kind];
	place->began_ns[kind] = 0;
	if (kind == IRQ_SOFT)
		return took_ns - (inner_ns - place->inner_then);
	place->inner_ns += took_ns;
	return took_ns;
}

struct irq_done {
	enum irq_kind kind;
	u32 line;
	const void *name; /* in kernel memory */
	u64 took_ns;
	bool unhandled;
};

static __always_inline void count_irq(const struct irq_done *done)
{
	struct irq_labels key = {};
	struct irq_values *row;

	if (label(irq, 0))
		key.kind = done->kind;
	if (label(irq, 1))
		key.line = done->line;
	if (label(irq, 2))
		bpf_probe_read_kernel_str(key.name, sizeof(key.name), done->name);
	if (label(irq, 3))
		key.cpu = bpf_get_smp_processor_id();
	if (label(irq, 4))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(irq, 5) && done->kind == IRQ_HARD)
		key.irq = done->line;
	row = row_of(irq, &key);
	if (!row)
		return;
	add(row->time_ns, done->took_ns);
	add(row->count, 1);
	if (done->unhandled)
		add(row->unhandled, 1);
	observe(row->took_ns, done->took_ns);
}

static __noinline int tell_irq(void *ctx, const struct irq_done *done)
{
	struct irq *e;

	if (!done || !notable(0, done->took_ns))
		return 0;
	e = event_new(irq);
	if (!e)
		return 0;
	task_now(&e->task);
	e->kind = done->kind;
	e->line = done->line;
	bpf_probe_read_kernel_str(e->name, sizeof(e->name), done->name);
	e->cpu = bpf_get_smp_processor_id();
	e->took_ns = done->took_ns;
	event_send(ctx, e);
	return 0;
}

static __always_inline int irq_ends(void *ctx, enum irq_kind kind, u32 line, const void *name,
				    bool unhandled)
{
	struct irq_done done = { .kind = kind, .line = line, .name = name, .unhandled = unhandled };
	s64 took_ns = irq_took(kind);

	if (took_ns < 0)
		return 0;
	done.took_ns = took_ns;
	if (tables_wanted())
		count_irq(&done);
	if (events_wanted())
		tell_irq(ctx, &done);
	return 0;
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(handler_begins, int irq, struct irqaction *action)
{
	return irq_begins(IRQ_HARD);
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(handler_ends, int irq, struct irqaction *action, int handled)
{
	return irq_ends(ctx, IRQ_HARD, irq, action->name, !handled);
}

SEC("tp_btf/softirq_entry") int BPF_PROG(soft_begins, unsigned int vector)
{
	return irq_begins(IRQ_SOFT);
}

SEC("tp_btf/softirq_exit") int BPF_PROG(soft_ends, unsigned int vector)
{
	if (vector >= SOFTIRQS)
		return 0;
	return irq_ends(ctx, IRQ_SOFT, vector, (const void *)softirq_names[vector], false);
}

/* Interrupts of the CPUs themselves, where the architecture tells of them (x86 does). */
#define LOCAL(vector)                                                                              \
	static const volatile char vector##_name[] = #vector;                                      \
	ALT(vector, 1) NEED("tpargs " #vector "_entry 1") OPTIONAL("interrupts by " #vector)       \
	SEC("?tp_btf/" #vector "_entry") int BPF_PROG(vector##_begins, int number)                 \
	{                                                                                          \
		return irq_begins(IRQ_LOCAL);                                                      \
	}                                                                                          \
	ALT(vector, 1) SEC("?tp_btf/" #vector "_exit") int BPF_PROG(vector##_ends, int number)     \
	{                                                                                          \
		return irq_ends(ctx, IRQ_LOCAL, number, (const void *)vector##_name, false);       \
	}

LOCAL(local_timer)
LOCAL(reschedule)
LOCAL(call_function)
LOCAL(call_function_single)
LOCAL(irq_work)
