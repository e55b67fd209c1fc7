/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Run-queue latency: how long threads that could run had to wait for a CPU, woken, new or preempted.
 *
 * The kernel keeps since when a thread waits in its task_struct (sched_info), so nothing has to be
 * noted when it is woken: one program on sched_switch sees the end of each wait. Two things the
 * kernel forgets are kept here: what a thread that was moved to another CPU had waited before (it is
 * in run_delay, so remembering that from the last time suffices), and threads that were preempted on
 * their way to sleep.
 */
#include "sonda.bpf.h"
#include "kernel/sched.h"

PROBE(runq, "sched", "Run-queue latency: time that runnable threads wait for a CPU");
FILTERS("task min=10ms");

enum wait_cause {
	WAIT_CAUSE_CONTENTION,
	WAIT_CAUSE_THROTTLED,
	WAIT_CAUSE_STOLEN,
	WAIT_CAUSE_IDLE,
};
enum wait_began { WAIT_BEGAN_WOKEN, WAIT_BEGAN_NEW, WAIT_BEGAN_PREEMPTED };

#define CAUSE_DOC                                                                                  \
	"contention: others ran; throttled: its cgroup's CPU quota was used up; stolen: the "      \
	"hypervisor had the CPU for most of the time; idle: nobody, the CPU had to wake up"
#define BEGAN_DOC "woken: it had slept; new: it was just made; preempted: it had to make room"

EVENT(runq, "A thread waited for a CPU, and got it") {
	struct task task;
	u64 took_ns KIND("duration") DOC("time it could have run and did not");
	enum wait_cause cause DOC(CAUSE_DOC);
	enum wait_began began DOC(BEGAN_DOC);
	u32 cpu DOC("CPU that it got");
	u32 instead_pid KIND("pid") DOC("process that ran there just before; 0: none");
	u64 instead_cgroup KIND("cgroup") HIDE DOC("its cgroup v2");
	char instead[16] KIND("comm") DOC("command name of the thread that ran there just before");
};

struct runq_labels {
	char comm[16] KIND("comm") DOC("command name of the thread that waited");
	u64 cgroup KIND("cgroup") DOC("its cgroup v2");
	enum wait_cause cause DOC(CAUSE_DOC);
	u32 pid KIND("pid") HIDE DOC("its process");
	char instead[16] KIND("comm") HIDE DOC("command name of the thread that ran there just before");
	u32 cpu HIDE DOC("CPU that it got");
	enum wait_began began HIDE DOC(BEGAN_DOC);
};
struct runq_values {
	u64 waited_ns COUNTER UNIT("ns") DOC("time waited, of all threads together");
	u64 waits COUNTER DOC("waits that are over");
	HIST_LOG2(wait_ns, 36, UNIT("ns") DOC("time a wait took"));
};
METRICS_PERCPU(runq, struct runq_labels, struct runq_values, 1024, "Run-queue latency");
FRONT(runq, struct runq_labels, struct runq_values, 1024);

/* Shorter waits have no other cause than contention. */
#define CAUSE_LEAST_NS 100000

/* What is remembered of each thread. Threads whose ids are equal in their lower bits share a place:
 * of one whose place the other has, what is told is what the kernel has not forgotten. */
#define PLACES    65536
#define TAG_SHIFT 57

struct place {
	u64 delay;          /* run_delay after the last wait, below the thread's tag */
	u64 queued_ns : 63; /* rq clock when it was preempted; 0: it was not */
	u64 throttled : 1;  /* that was why */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct place);
} places SEC(".maps");

/* When a group was throttled last, on one CPU, by the clock that stands still for slow CPUs. */
struct throttle {
	u64 total_ns; /* throttled_clock_pelt_time */
	u64 until_ns; /* the last time was over; 0: not known */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64); /* struct cfs_rq */
	__type(value, struct throttle);
} throttles SEC(".maps");

/* What the hypervisor took from each CPU, as of the last switch, and when that grew last. */
struct steal {
	u64 total_ns;
	u64 grew_ns;
	u64 grew_at_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct steal);
} steals SEC(".maps");

struct wait {
	u64 took_ns;
	u32 cause;
	u32 began;
};

static __always_inline struct place *place_of(const struct task_struct___sched *task, u64 *ret_tag)
{
	u32 tid = task->pid, at = tid & (PLACES - 1);

	*ret_tag = (u64)(tid / PLACES + 1) << TAG_SHIFT;
	return bpf_map_lookup_elem(&places, &at);
}

static __always_inline bool place_is_mine(const struct place *place, u64 tag)
{
	return (place->delay ^ tag) >> TAG_SHIFT == 0;
}

/* The thread has to give up the CPU, though it could go on. */
static __always_inline void wait_begins(const struct task_struct___sched *task, u64 now_ns)
{
	u64 tag;
	struct place *place = place_of(task, &tag);

	if (!place)
		return;
	place->delay = tag | task->sched_info.run_delay;
	place->queued_ns = now_ns;
	place->throttled = bpf_core_field_exists(task->throttled) && task->throttled;
}

/* The thread gets the CPU: how long did it wait? false: nobody knows. */
static __always_inline bool wait_ends(const struct task_struct___sched *task, u64 now_ns,
				      struct wait *w)
{
	u64 queued_ns = task->sched_info.last_queued, delay, tag;
	struct place *place = place_of(task, &tag);
	bool known = queued_ns;

	if (!place)
		return false;
	w->took_ns = known ? now_ns - queued_ns : 0;
	delay = task->sched_info.run_delay + w->took_ns; /* as it will be in a moment */
	w->began = WAIT_BEGAN_WOKEN;
	w->cause = WAIT_CAUSE_CONTENTION;
	if (!task->sched_info.pcount) {
		w->took_ns = delay;
		w->began = WAIT_BEGAN_NEW;
	} else if (place_is_mine(place, tag) && place->queued_ns) {
		w->took_ns = now_ns - place->queued_ns;
		w->began = WAIT_BEGAN_PREEMPTED;
		if (place->throttled)
			w->cause = WAIT_CAUSE_THROTTLED;
		known = true;
	} else if (place_is_mine(place, tag)) {
		w->took_ns = (tag | delay) - place->delay;
	}
	if ((s64)w->took_ns < 0) /* clocks of CPUs may differ a little */
		w->took_ns = 0;
	place->delay = tag | delay;
	place->queued_ns = 0;
	return known;
}

static __always_inline bool was_throttled(struct cfs_rq *cfs, u64 took_ns)
{
	u64 total_ns = cfs->throttled_clock_pelt_time, began_ns = cfs->throttled_clock_pelt;
	u64 now_ns = cfs->rq->clock_pelt - cfs->rq->lost_idle_time, key = (u64)cfs;
	struct throttle first = { .total_ns = total_ns };
	struct throttle *t;

	if (!total_ns)
		return false;
	t = bpf_map_lookup_elem(&throttles, &key);
	if (!t) {
		bpf_map_update_elem(&throttles, &key, &first, BPF_ANY);
		return began_ns + CAUSE_LEAST_NS > now_ns - took_ns;
	}
	if (t->total_ns != total_ns) {
		t->until_ns = began_ns + total_ns - t->total_ns;
		if (t->until_ns > now_ns)
			t->until_ns = now_ns;
		t->total_ns = total_ns;
	}
	return t->until_ns > now_ns - took_ns;
}

static __always_inline bool was_stolen(struct rq *rq, u64 took_ns)
{
	struct steal *s;
	u32 zero = 0;

	if (!bpf_core_field_exists(rq->prev_steal_time_rq))
		return false;
	s = bpf_map_lookup_elem(&steals, &zero);
	if (!s)
		return false;
	if (s->total_ns != rq->prev_steal_time_rq) {
		s->grew_ns = s->total_ns ? rq->prev_steal_time_rq - s->total_ns : 0;
		s->grew_at_ns = rq->clock;
		s->total_ns = rq->prev_steal_time_rq;
	}
	return s->grew_at_ns > rq->clock - took_ns && s->grew_ns > took_ns / 2;
}

/* Whose fault was a wait of which nothing is known yet? */
static __always_inline u32 wait_cause(struct cfs_rq *cfs, u64 took_ns, bool was_idle)
{
	bool stolen = was_stolen(cfs->rq, took_ns);

	if (took_ns >= CAUSE_LEAST_NS) {
		if (was_throttled(cfs, took_ns))
			return WAIT_CAUSE_THROTTLED;
		if (stolen)
			return WAIT_CAUSE_STOLEN;
	}
	return was_idle ? WAIT_CAUSE_IDLE : WAIT_CAUSE_CONTENTION;
}

static __always_inline void count_wait(struct task_struct *task, struct task_struct *before,
				       const struct wait *w)
{
	struct runq_labels key = {};
	struct runq_values *row;
	u64 id;

	if (label(runq, 0))
		__builtin_memcpy(key.comm, task->comm, sizeof(key.comm));
	if (label(runq, 1))
		key.cgroup = task->cgroups->dfl_cgrp->kn->id;
	if (label(runq, 2))
		key.cause = w->cause;
	if (label(runq, 3))
		key.pid = task->tgid;
	if (label(runq, 4))
		__builtin_memcpy(key.instead, before->comm, sizeof(key.instead));
	if (label(runq, 5))
		key.cpu = bpf_get_smp_processor_id();
	if (label(runq, 6))
		key.began = w->began;
	id = labels_id(&key, sizeof(key), bpf_get_smp_processor_id());
	row = front_row(runq, id) ?: front_begin(runq, id, &key);
	if (!row)
		return;
	/* interrupts are off while the CPU changes threads */
	add_alone(row->waited_ns, w->took_ns);
	add_alone(row->waits, 1);
	observe_alone(row->wait_ns, w->took_ns);
}

static __always_inline void tell_wait(void *ctx, struct task_struct *task,
				      struct task_struct *before, const struct wait *w)
{
	struct runq *e = event_new(runq);

	if (!e)
		return;
	task_fill(&e->task, task);
	e->took_ns = w->took_ns;
	e->cause = w->cause;
	e->began = w->began;
	e->cpu = bpf_get_smp_processor_id();
	e->instead_pid = before->tgid;
	e->instead_cgroup = before->cgroups->dfl_cgrp->kn->id;
	__builtin_memcpy(e->instead, before->comm, sizeof(e->instead));
	event_send(ctx, e);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempted, struct task_struct *before, struct task_struct *task)
{
	struct task_struct___sched *waiter = (void *)task;
	struct cfs_rq *cfs = waiter->se.cfs_rq;
	u64 now_ns = cfs->rq->clock;
	struct wait w;

	if (before->pid && (preempted || !task_state(before)))
		wait_begins((void *)before, now_ns);
	if (!task->pid || !wait_ends(waiter, now_ns, &w))
		return 0;
	if (task->tgid == sonda_conf.self || (sonda_conf.sets_on && !wanted_task(task)))
		return 0;
	if (w.cause != WAIT_CAUSE_THROTTLED)
		w.cause = wait_cause(cfs, w.took_ns, !before->pid);
	if (!notable(0, w.took_ns))
		return 0;
	if (tables_wanted())
		count_wait(task, before, &w);
	if (events_wanted())
		tell_wait(ctx, task, before, &w);
	return 0;
}
