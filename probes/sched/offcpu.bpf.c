/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Off-CPU time: how long threads slept or were blocked, in which call, where in the kernel, and who
 * woke them. Waiting for a CPU afterwards is not part of it: that is sched.runq.
 *
 * Told when the thread is woken, for then the current task is who wakes it. Where nobody asks for that
 * it is counted when the thread runs again, and wake-ups cost nothing: the kernel keeps in its
 * task_struct (sched_info) since when it waits for a CPU.
 */
#define STACKS_KEPT 4096
#define STACKS_HELD 8192
#include "sonda.bpf.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "kernel/syscall.h"
#include "sonda/stack.h"

PROBE(offcpu, "sched", "Off-CPU time: how long threads were blocked, in what, and who woke them");
FILTERS("task min=10ms");

enum block_reason {
	BLOCK_REASON_SLEEP,
	BLOCK_REASON_IO,
	BLOCK_REASON_UNINTERRUPTIBLE,
	BLOCK_REASON_STOPPED,
	BLOCK_REASON_TRACED,
	BLOCK_REASON_IDLE,
	BLOCK_REASON_LOCK,
};
#define REASON_DOC                                                                                 \
	"sleep: until something happens, signals wake it; io: a device; uninterruptible: something " \
	"else that signals don't end (D); stopped, traced: job control, a debugger; idle: kernel "  \
	"thread without work; lock: of a real-time kernel"
#define WAKER_DOC                                                                                  \
	"process that woke it; 0: an interrupt, a timer or a device. One that came while a process " \
	"was in a system call can't be told from it"
#define CALL_DOC "system call it was in; -1: none (a page fault, a kernel thread)"

EVENT(offcpu, "A thread that was blocked has been woken") {
	struct task task;
	u64 took_ns KIND("duration") DOC("time it was off the CPU until it was woken");
	enum block_reason reason DOC(REASON_DOC);
	s32 call KIND("syscall") DOC(CALL_DOC);
	u32 waker_pid KIND("pid") DOC(WAKER_DOC);
	char waker[16] KIND("comm") DOC("command name of the thread that woke it");
	struct stack kstack KIND("kstack") HIDE DOC("where in the kernel it was blocked");
	struct stack ustack KIND("ustack")
		HIDE DOC("where in the program, by frame pointers; only where it is asked for: named by --fields or "
			 "--where, -o folded, a recording");
};

struct offcpu_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	enum block_reason reason DOC(REASON_DOC);
	s32 call KIND("syscall") DOC(CALL_DOC);
	u32 pid KIND("pid") HIDE DOC("its process");
	u32 waker_pid KIND("pid") HIDE DOC(WAKER_DOC);
	char waker[16] KIND("comm") HIDE DOC("command name of the thread that woke it");
	u64 cgroup KIND("cgroup") HIDE DOC("its cgroup v2");
	struct stack_id kstack KIND("kstack") HIDE DOC("where in the kernel it was blocked");
	struct stack_id ustack KIND("ustack") HIDE DOC("where in the program, by frame pointers");
};
struct offcpu_values {
	u64 blocked_ns COUNTER UNIT("ns") DOC("time blocked, of all threads together");
	u64 blocks COUNTER DOC("times blocked");
	HIST_LOG2(took_ns, 40, UNIT("ns") DOC("time it was off the CPU until it was woken"));
};
METRICS(offcpu, struct offcpu_labels, struct offcpu_values, 4096, "Off-CPU time");
FRONT(offcpu, struct offcpu_labels, struct offcpu_values, 2048);

/*
 * Threads that are blocked or have been: in a place that the thread's id gives, or, while another thread
 * whose id has the same lower bits is blocked there, in a hash map. Neighbours' places are in different
 * cache lines, as they run on different CPUs. An entry of the hash map stays until its thread ends.
 * Preallocated: memory can't be asked for while the scheduler's locks are held.
 */
struct blocked {
	u64 since_ns; /* by off_clock_ns(); 0: it is not */
	u32 tid;
	u32 state;
	u32 in_io;
	u32 pad;
	struct stack_id ustack;
};
#define PLACE_BITS 16
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << PLACE_BITS);
	__type(key, u32);
	__type(value, struct blocked);
} places SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct blocked);
} crowded SEC(".maps");

static __always_inline struct blocked *place_of(u32 tid)
{
	u32 low = tid & ((1 << PLACE_BITS) - 1);
	u32 place = (low << 2 | low >> (PLACE_BITS - 2)) & ((1 << PLACE_BITS) - 1);

	return bpf_map_lookup_elem(&places, &place);
}

static __always_inline struct blocked *blocked_of(u32 tid)
{
	struct blocked *b = place_of(tid);

	return b && b->tid == tid ? b : bpf_map_lookup_elem(&crowded, &tid);
}

/* Where it is to be noted that the thread is blocked. */
static __always_inline struct blocked *blocked_place(u32 tid)
{
	struct blocked *b = place_of(tid), first = { .tid = tid };

	if (b && (b->tid == tid || !b->since_ns)) {
		b->tid = tid;
		return b;
	}
	b = bpf_map_lookup_elem(&crowded, &tid);
	if (b)
		return b;
	if (bpf_map_update_elem(&crowded, &tid, &first, BPF_ANY))
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&crowded, &tid);
}

static __always_inline void blocked_forget(u32 tid)
{
	struct blocked *b = place_of(tid);

	if (b && b->tid == tid)
		b->tid = b->since_ns = 0;
	bpf_map_delete_elem(&crowded, &tid);
}

/* 5.10 doesn't tell tracing programs the stack of a task that sleeps. */
#define HAS_TASK_STACK bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)

static __always_inline u32 reason_of(u32 state, bool in_io)
{
	if (in_io)
		return BLOCK_REASON_IO;
	if (state & TASK_NOLOAD)
		return BLOCK_REASON_IDLE;
	if (state & TASK_STOPPED)
		return BLOCK_REASON_STOPPED;
	if (state & TASK_TRACED)
		return BLOCK_REASON_TRACED;
	if (state & TASK_RTLOCK_WAIT)
		return BLOCK_REASON_LOCK;
	return state & TASK_UNINTERRUPTIBLE ? BLOCK_REASON_UNINTERRUPTIBLE : BLOCK_REASON_SLEEP;
}

struct waker {
	u32 pid;
	char comm[16];
};

/* Who wakes: the current task, unless it is in no call and can only have been interrupted. */
static __always_inline void waker_now(struct waker *waker)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (!pid || (current_call() < 0 &&
		     !(BPF_CORE_READ(current_task(), flags) & PF_KTHREAD))) {
		__builtin_memcpy(waker->comm, "[interrupt]", sizeof("[interrupt]"));
		return;
	}
	waker->pid = pid;
	bpf_get_current_comm(waker->comm, sizeof(waker->comm));
}

/* A number of the labels, for each CPU another; those behind `call` are seldom wanted. */
static __always_inline u64 offcpu_id(const struct offcpu_labels *key)
{
	const u32 often = __builtin_offsetof(struct offcpu_labels, pid);
	u64 id = labels_id(key, often, bpf_get_smp_processor_id());

	if ((sonda_without_offcpu & 0x1f8) == 0x1f8)
		return id;
	return labels_id((const void *)key + often, sizeof(*key) - often, id);
}

static __always_inline void count_block(struct task_struct *task, u64 took_ns, u32 reason,
					struct stack_id ustack)
{
	struct offcpu_labels key = {};
	struct offcpu_values *row;
	struct waker waker = {};
	u64 id;

	if (label(offcpu, 0))
		__builtin_memcpy(key.comm, task->comm, sizeof(key.comm));
	if (label(offcpu, 1))
		key.reason = reason;
	if (label(offcpu, 2))
		key.call = task_call(task);
	if (label(offcpu, 3))
		key.pid = task->tgid;
	if (label(offcpu, 4) || label(offcpu, 5))
		waker_now(&waker);
	if (label(offcpu, 4))
		key.waker_pid = waker.pid;
	if (label(offcpu, 5))
		__builtin_memcpy(key.waker, waker.comm, sizeof(key.waker));
	if (label(offcpu, 6))
		key.cgroup = task->cgroups->dfl_cgrp->kn->id;
	if (label(offcpu, 7) && HAS_TASK_STACK)
		key.kstack = stack_id_task(task);
	if (label(offcpu, 8))
		key.ustack = ustack;
	id = offcpu_id(&key);
	row = front_row(offcpu, id);
	if (row) { /* this CPU's own; interrupts are off where a thread is woken */
		add_alone(row->blocked_ns, took_ns);
		add_alone(row->blocks, 1);
		observe_alone(row->took_ns, took_ns);
		return;
	}
	row = front_begin(offcpu, id, &key);
	if (!row)
		return;
	add(row->blocked_ns, took_ns);
	add(row->blocks, 1);
	observe(row->took_ns, took_ns);
}

static __always_inline void tell_block(void *ctx, struct task_struct *task, u64 took_ns, u32 reason,
				       struct stack_id ustack)
{
	struct offcpu *e = event_new(offcpu);
	struct waker waker = {};

	if (!e)
		return;
	task_fill(&e->task, task);
	e->took_ns = took_ns;
	e->reason = reason;
	e->call = task_call(task);
	waker_now(&waker);
	e->waker_pid = waker.pid;
	__builtin_memcpy(e->waker, waker.comm, sizeof(e->waker));
	if (HAS_TASK_STACK)
		stack_task(e, kstack, task);
	if (user_stacks_wanted() && ustack.id)
		stack_held(e, ustack, task->pid);
	event_send(ctx, e);
}

static __always_inline void block_over(void *ctx, struct task_struct *task, struct blocked *b,
				       u64 took_ns)
{
	u32 reason = reason_of(b->state, b->in_io);
	struct stack_id ustack = b->ustack;

	b->since_ns = 0; /* from here on it is anybody's */
	if (task->tgid == sonda_conf.self || (sonda_conf.sets_on && !wanted_task(task)))
		return;
	if (!notable(0, took_ns))
		return;
	if (tables_wanted())
		count_block(task, took_ns, reason, ustack);
	if (events_wanted())
		tell_block(ctx, task, took_ns, reason, ustack);
}

/* --- where somebody asks who wakes --- */

#define WAKER_LABELS    (1 << 4 | 1 << 5)
#define wakers_wanted() (events_wanted() || any_label(offcpu, WAKER_LABELS))

IF_WANTED(offcpu, 4 5)
SEC("?tp_btf/sched_waking") int BPF_PROG(wakes, struct task_struct *task)
{
	struct blocked *b = blocked_of(task->pid);

	/* woken again, or before it was gone */
	if (b && b->since_ns && !task_is_queued(task))
		block_over(ctx, task, b, bpf_ktime_get_ns() - b->since_ns);
	return 0;
}

/* --- where nobody does --- */

/* The scheduler's clock, less what the thread had waited for CPUs until then. */
static __always_inline u64 off_clock_ns(const struct task_struct *task)
{
	const struct task_struct___sched *t = (void *)task;

	return wakers_wanted() ? bpf_ktime_get_ns()
			       : t->se.cfs_rq->rq->clock - t->sched_info.run_delay;
}

/*
 * It gets a CPU, for which it has waited since `last_queued`; or, if it was moved to another CPU's queue
 * since it was woken, by what has been added to its run_delay before that.
 */
static __always_inline void runs_again(void *ctx, struct task_struct *task)
{
	const struct task_struct___sched *t = (void *)task;
	struct blocked *b = task->pid ? blocked_of(task->pid) : NULL;
	u64 queued_ns = t->sched_info.last_queued;
	s64 took_ns;

	if (!b || !b->since_ns)
		return;
	took_ns = queued_ns ? queued_ns - t->sched_info.run_delay - b->since_ns
			    : off_clock_ns(task) - b->since_ns;
	if (took_ns < 0) /* clocks of CPUs may differ a little */
		took_ns = 0;
	block_over(ctx, task, b, took_ns);
}

/* Is it a process that is asked for, and not a thread of the kernel's? */
static __always_inline bool wanted_user(struct task_struct *task)
{
	return task->mm && task->tgid != sonda_conf.self && (!sonda_conf.sets_on || wanted_task(task));
}

/*
 * The program's stack, only now: another process can't be asked for it. A number for the table; where there are
 * only events, any that says that it is held.
 */
static __always_inline void take_user_stack(void *ctx, struct task_struct *task, struct blocked *b)
{
	bool counted = tables_wanted() && label(offcpu, 8);

	if (!counted && !user_stacks_wanted())
		return;
	b->ustack = (struct stack_id){};
	if (!wanted_user(task))
		return;
	if (counted)
		b->ustack = stack_id_user(ctx);
	if (user_stacks_wanted() && stack_hold(ctx, task->pid) && !counted)
		b->ustack.id = 1;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(blocks, bool preempted, struct task_struct *task, struct task_struct *next)
{
	u32 tid = task->pid, state = task_state(task);
	struct blocked *b;

	if (!wakers_wanted())
		runs_again(ctx, next);
	/* not one that is woken at this very moment */
	if (!tid || preempted || !state || state & TASK_WAKING)
		return 0;
	if (state & TASK_DEAD) {
		blocked_forget(tid);
		return 0;
	}
	b = blocked_place(tid);
	if (!b)
		return 0;
	b->state = state;
	b->in_io = task_in_iowait(task);
	take_user_stack(ctx, task, b);
	b->since_ns = off_clock_ns(task);
	return 0;
}
