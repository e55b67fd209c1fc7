/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who signals whom, and what comes of it: one event for each signal that is sent, by a process or by
 * the kernel. A kill(2) that fails sends none (`syscall.errors` tells of it).
 */
#include "sonda.bpf.h"

#include "kernel/signal.h"

PROBE(signal, "process", "Signals: who sent which to whom, why, and what comes of it");
FILTERS("task");

PARAM(bool, routine, false,
      DOC("also SIGCHLD, signals of timers and I/O, and what a process sends itself and handles"));

enum signal_why {
	SIGNAL_WHY_KILL,
	SIGNAL_WHY_TKILL,
	SIGNAL_WHY_QUEUE,
	SIGNAL_WHY_TIMER,
	SIGNAL_WHY_IO,
	SIGNAL_WHY_CHILD,
	SIGNAL_WHY_FAULT,
	SIGNAL_WHY_OOM,
	SIGNAL_WHY_KERNEL,
};
enum signal_outcome {
	SIGNAL_OUTCOME_DELIVERED,
	SIGNAL_OUTCOME_BLOCKED,
	SIGNAL_OUTCOME_IGNORED,
	SIGNAL_OUTCOME_PENDING,
	SIGNAL_OUTCOME_LOST,
};
enum signal_action {
	SIGNAL_ACTION_NONE,
	SIGNAL_ACTION_HANDLER,
	SIGNAL_ACTION_TERMINATE,
	SIGNAL_ACTION_DUMP,
	SIGNAL_ACTION_STOP,
	SIGNAL_ACTION_CONTINUE,
};

EVENT(signal, "A signal was sent")
{
	struct task task; /* who sent it; nobody: a timer, or I/O, from an interrupt */
	u32 signal KIND("signal") DOC("which signal");
	enum signal_why why DOC("kill, tkill, queue: the call that sent it; fault: the target's own; "
				"oom: memory ran out, for whom is the sender; kernel: for another reason");
	u32 target_pid KIND("pid") DOC("process that gets it");
	u32 target_tid KIND("tid") HIDE DOC("thread that gets it; 0: any of the process");
	u32 target_uid KIND("uid") HIDE DOC("user the target runs as");
	u32 pad HIDE;
	u64 target_cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the target");
	char target_comm[16] KIND("comm") DOC("command name of the target");
	enum signal_outcome outcome DOC("blocked: waits until the target unblocks it; pending: the same "
					"one waits there already; lost: the target has too many waiting");
	enum signal_action action DOC("what it does there, once delivered");
};

struct signal_labels {
	char comm[16] KIND("comm") DOC("who sends");
	u32 signal KIND("signal") DOC("which signal");
	enum signal_why why DOC("how it came about");
	char target_comm[16] KIND("comm") DOC("who gets it");
	enum signal_outcome outcome DOC("what came of it");
	u32 uid KIND("uid") HIDE DOC("user the sender runs as");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the sender");
};
struct signal_values {
	u64 signals COUNTER DOC("signals sent");
};
METRICS(signals, struct signal_labels, struct signal_values, 2048, "Signals sent");

/* What is known of a signal before its event is filled. */
struct sent {
	u32 number;
	enum signal_why why;
	enum signal_outcome outcome;
	enum signal_action action;
	u64 bit;
	bool to_process;
};

/* The function that kills when memory has run out. Nothing but the stack tells that it does. */
extern const void __oom_kill_process __ksym __weak;
#define OOM_FRAMES 16
#define OOM_BYTES  4096

static __noinline bool oom_kills(void *ctx)
{
	u64 begin = (u64)&__oom_kill_process, frames[OOM_FRAMES] = {};

	if (!begin || bpf_get_stack(ctx, frames, sizeof(frames), 0) < 0)
		return false;
	for (int i = 0; i < OOM_FRAMES; i++)
		if (frames[i] - begin < OOM_BYTES)
			return true;
	return false;
}

static __always_inline enum signal_why why_of_kernel(void *ctx, const struct sent *s)
{
	if (s->bit & SIGS_OF_FAULTS)
		return SIGNAL_WHY_FAULT;
	if (s->number == SIG_CHLD)
		return SIGNAL_WHY_CHILD;
	if (s->bit & SIGS_OF_TIMERS)
		return SIGNAL_WHY_TIMER;
	return s->number == SIG_KILL && oom_kills(ctx) ? SIGNAL_WHY_OOM : SIGNAL_WHY_KERNEL;
}

static __always_inline enum signal_why why_of(void *ctx, const struct sent *s, int code)
{
	switch (code) {
	case SIGNAL_BY_KILL:
		return SIGNAL_WHY_KILL;
	case SIGNAL_BY_TKILL:
		return SIGNAL_WHY_TKILL;
	case SIGNAL_BY_QUEUE:
		return SIGNAL_WHY_QUEUE;
	case SIGNAL_BY_TIMER:
		return SIGNAL_WHY_TIMER;
	case SIGNAL_BY_MESGQ:
	case SIGNAL_BY_ASYNCIO:
	case SIGNAL_BY_SIGIO:
		return SIGNAL_WHY_IO;
	}
	return why_of_kernel(ctx, s);
}

/* Results as signal_generate(9) has them. */
enum { GENERATED, IGNORED, ALREADY_PENDING, OVERFLOW_FAIL, LOSE_INFO };

static __always_inline enum signal_outcome outcome_of(const struct sent *s,
						      struct task_struct *target, int result)
{
	if (result == IGNORED && s->number != SIG_CONT) /* which continues, ignored or not */
		return SIGNAL_OUTCOME_IGNORED;
	if (result == ALREADY_PENDING)
		return SIGNAL_OUTCOME_PENDING;
	if (result == OVERFLOW_FAIL)
		return SIGNAL_OUTCOME_LOST;
	if (s->bit & SIGS_NOT_TO_BLOCK || !thread_blocks(target, s->bit) ||
	    (s->to_process && !process_blocks(target, s->bit)))
		return SIGNAL_OUTCOME_DELIVERED;
	return SIGNAL_OUTCOME_BLOCKED;
}

static __always_inline enum signal_action action_of(const struct sent *s,
						    struct task_struct *target)
{
	unsigned long handler = signal_handler(target, s->number);

	if (s->number == SIG_CONT && handler <= 1)
		return SIGNAL_ACTION_CONTINUE;
	if (handler == 1 || s->outcome == SIGNAL_OUTCOME_IGNORED)
		return SIGNAL_ACTION_NONE;
	if (handler)
		return SIGNAL_ACTION_HANDLER;
	if (s->bit & SIGS_WITHOUT_EFFECT)
		return SIGNAL_ACTION_NONE;
	if (s->bit & SIGS_THAT_STOP)
		return SIGNAL_ACTION_STOP;
	return s->bit & SIGS_THAT_DUMP ? SIGNAL_ACTION_DUMP : SIGNAL_ACTION_TERMINATE;
}

static __always_inline bool is_routine(const struct sent *s, struct task_struct *target)
{
	if (s->action == SIGNAL_ACTION_TERMINATE || s->action == SIGNAL_ACTION_DUMP)
		return false;
	return s->why == SIGNAL_WHY_CHILD || s->why == SIGNAL_WHY_TIMER ||
	       s->why == SIGNAL_WHY_IO ||
	       BPF_CORE_READ(target, tgid) == bpf_get_current_pid_tgid() >> 32;
}

/* Is it from an interrupt, so that the current task has nothing to do with it? */
static __always_inline bool is_nobodys(const struct sent *s)
{
	return s->why == SIGNAL_WHY_TIMER || s->why == SIGNAL_WHY_IO;
}

static __noinline int count_signal(const struct sent *s, struct task_struct *target)
{
	struct signal_labels key = {};
	struct signal_values *row;

	if (!s)
		return 0;
	if (label(signals, 0) && !is_nobodys(s))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(signals, 1))
		key.signal = s->number;
	if (label(signals, 2))
		key.why = s->why;
	if (label(signals, 3))
		BPF_CORE_READ_STR_INTO(&key.target_comm, target, comm);
	if (label(signals, 4))
		key.outcome = s->outcome;
	if (label(signals, 5) && !is_nobodys(s))
		key.uid = task_uid(current_task());
	if (label(signals, 6) && !is_nobodys(s))
		key.cgroup = task_cgroup_id(current_task());
	row = row_of(signals, &key);
	if (row)
		add(row->signals, 1);
	return 0;
}

static __noinline int tell_signal(void *ctx, const struct sent *s, struct task_struct *target)
{
	struct signal *e = event_new(signal);

	if (!e || !s)
		return 0;
	if (!is_nobodys(s))
		task_now(&e->task);
	e->signal = s->number;
	e->why = s->why;
	e->target_pid = BPF_CORE_READ(target, tgid);
	e->target_tid = s->to_process ? 0 : BPF_CORE_READ(target, pid);
	e->target_uid = task_uid(target);
	e->target_cgroup = task_cgroup_id(target);
	BPF_CORE_READ_STR_INTO(&e->target_comm, target, comm);
	e->outcome = s->outcome;
	e->action = s->action;
	event_send(ctx, e);
	return 0;
}

/* Filters are about who sends it or who gets it: one of them is enough. */
static __always_inline bool signal_wanted(struct task_struct *target)
{
	if (sonda_conf.self && bpf_get_current_pid_tgid() >> 32 == sonda_conf.self)
		return false;
	if (!sonda_conf.sets_on || task_in_filters(current_task()) || task_in_filters(target))
		return true;
	count_filtered();
	return false;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(generated, int number, void *info, struct task_struct *target, int group, int result)
{
	struct sent s = { .number = number, .to_process = group };

	if (number < 1 || number > 64 || !signal_wanted(target))
		return 0;
	s.bit = SIG_BIT(number);
	s.why = why_of(ctx, &s, signal_code((u64)info));
	s.outcome = outcome_of(&s, target, result);
	s.action = action_of(&s, target);
	if (!routine && is_routine(&s, target)) {
		count_filtered();
		return 0;
	}
	if (tables_wanted())
		count_signal(&s, target);
	if (events_wanted())
		tell_signal(ctx, &s, target);
	return 0;
}
