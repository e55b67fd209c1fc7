/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * System calls that take long: told when they return, and while they hang. A call that is fast costs
 * its two stamps; what a slow one was about is read at its exit. Calls under way are looked through
 * once a second, so one that never returns is told as well.
 */
#define EVENT_MAX 8192 /* a whole path, a stack and the struct */
#include "sonda.bpf.h"

#include "kernel/sched.h"
#include "sonda/call_object.h"
#include "sonda/calls.h"
#include "sonda/iter.h"
#include "sonda/stack.h"

PROBE(slow, "syscall", "System calls that take long, or hang: on what, waiting for what");
FILTERS("task errors min=10ms tables");

enum slow_waits { SLOW_WAITS_NONE, SLOW_WAITS_PEERS, SLOW_WAITS_ALL };
PARAM(enum slow_waits, waits, SLOW_WAITS_PEERS,
      DOC("which calls that wait by their nature: none; peers: on sockets; all: also on pipes, "
	  "terminals, polls, locks, sleeps, children"));
PARAM(u32, hanging_s, 1,
      DOC("tell also of a call still under way after so long, and again each time that has doubled; "
	  "0: never") UNIT("s") RANGE(0, 1000000));

enum slow_state { SLOW_STATE_DONE, SLOW_STATE_HANGING };

EVENT(slow, "A system call took long, or has not returned yet")
{
	struct task task;
	enum slow_state state DOC("done: it has returned; hanging: it has not yet");
	u32 syscall KIND("syscall") DOC("which call");
	s64 took_ns KIND("duration") DOC("time it took, or has taken so far");
	bool at_least HIDE DOC("it had begun before sonda looked: it took longer");
	s32 err KIND("errno") DOC("0, or why it failed");
	enum call_waits_for waits_for DOC("what it waits for by its nature; nothing: it works");
	struct text object DOC("what it is about, where that is plain: a path, a socket, as it was "
			       "asked for or as the descriptor is");
	s64 returned HIDE DOC("what it returned");
	u64 args[6] HIDE DOC("its arguments");
	struct stack kstack KIND("kstack") HIDE DOC("where in the kernel it hangs");
};

struct slow_labels {
	u32 syscall KIND("syscall") DOC("which call");
	enum call_waits_for waits_for DOC("what it waits for by its nature; nothing: it works");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 pad HIDE;
};
struct slow_values {
	u64 calls COUNTER DOC("slow calls that returned");
	u64 time_ns COUNTER UNIT("ns") DOC("time spent in them");
	HIST_LOG2(took_ns, 42, UNIT("ns") DOC("time they took"));
};
METRICS(slow_calls, struct slow_labels, struct slow_values, 2048, "Slow system calls");

/* Is a call that waits for that wanted? One without data is told as hanging only where all are: it
 * is idle more often than not. */
static __always_inline bool waits_wanted(enum call_waits_for what, bool hanging)
{
	if (what == CALL_WAITS_FOR_NOTHING || waits == SLOW_WAITS_ALL)
		return true;
	return waits == SLOW_WAITS_PEERS && what <= CALL_WAITS_FOR_PEER &&
	       !(hanging && what == CALL_WAITS_FOR_DATA);
}

static __noinline int count_slow(u32 nr, enum call_waits_for what, s64 took_ns)
{
	struct slow_labels key = {};
	struct slow_values *row;

	if (label(slow_calls, 0))
		key.syscall = nr;
	if (label(slow_calls, 1))
		key.waits_for = what;
	if (label(slow_calls, 2))
		comm_now(key.comm);
	if (label(slow_calls, 3))
		key.cgroup = task_cgroup_id(current_task());
	if (label(slow_calls, 4))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	row = row_of(slow_calls, &key);
	if (!row)
		return 0;
	add(row->calls, 1);
	add(row->time_ns, took_ns);
	observe(row->took_ns, took_ns);
	return 0;
}

static __noinline int tell_slow(void *ctx, struct call *call, long ret, struct call_shape *shape,
				const u64 *args)
{
	struct slow *e = event_new(slow);

	if (!e || !call || !shape || !args)
		return 0;
	task_now(&e->task);
	e->syscall = call_number(call->nr);
	e->took_ns = call->took_ns;
	e->at_least = call->late;
	e->err = call->err;
	e->waits_for = call_waits_for(shape, file_of_fd(arg_of(args, shape->fd)));
	e->returned = ret;
	__builtin_memcpy(e->args, args, sizeof(e->args));
	text_call_object(e, object, shape, args);
	event_send(ctx, e);
	return 0;
}

static __noinline int call_was_slow(void *ctx, struct pt_regs *regs, long ret, struct call *call)
{
	enum call_waits_for what;
	struct call_shape shape;
	u64 args[6];
	u32 nr;

	if (!call)
		return 0;
	nr = call_number(call->nr);
	call_shape_of(&shape, nr);
	syscall_args(args, regs, nr & SYSCALL_32BIT);
	what = call_waits_for(&shape, file_of_fd(arg_of(args, shape.fd)));
	if (!notable(call->err, call->took_ns))
		return 0;
	if (!waits_wanted(what, false)) {
		count_filtered();
		return 0;
	}
	if (tables_wanted())
		count_slow(nr, what, call->took_ns);
	if (events_wanted())
		tell_slow(ctx, call, ret, &shape, args);
	return 0;
}

SEC("tp_btf/sys_enter") int BPF_PROG(enters, struct pt_regs *regs, long nr)
{
	if (!call_never_returns(nr))
		call_enters(nr);
	return 0;
}

SEC("tp_btf/sys_exit") int BPF_PROG(leaves, struct pt_regs *regs, long ret)
{
	struct call call;

	if (call_leaves(&call, syscall_nr_raw(regs), ret) && call.took_ns >= 0 &&
	    call.took_ns >= sonda_conf.min_ns)
		call_was_slow(ctx, regs, ret, &call);
	return 0;
}

/* --- what hangs --- */

#define HANGING_NAME_MAX 256

static u64 look_ns, last_look_ns;

/* How often `hanging_s` has doubled in a call that began then: 0 if it isn't that long. */
static __always_inline u32 hanging_stage(u64 began, u64 now)
{
	u64 unit = hanging_s * 1000000000ull;

	return now < began ? 0 : log2_slot((now - began) / unit + 1, 64);
}

/* A task found asleep in a call that nobody saw begin: from now on its time is known. */
static __always_inline void call_found(struct task_struct *task, struct call_place *place, u64 who)
{
	long nr = task_call(task);

	if (nr < 0 || !(task_state(task) & (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)))
		return;
	if (sonda_conf.sets_on && !task_in_filters(task))
		return;
	place->nr = nr | CALL_LATE;
	place->began = who | call_clock();
}

/* The path that another task asks for: as it stands in its memory, where that can be read. */
static __always_inline void text_path_of(struct slow *e, struct task_struct *task, const void *name,
					 bool can_sleep)
{
	struct event_slot *slot = event_slot_of(e);
	u32 at = *(volatile u32 *)&slot->tail;

	if (!can_sleep || !name || at >= EVENT_MAX)
		return;
	if (bpf_copy_from_user_task(&slot->body[at], HANGING_NAME_MAX, name, task, 0))
		return;
	slot->body[at + HANGING_NAME_MAX - 1] = 0;
	text_kernel(e, object, &slot->body[at]);
}

static __noinline int tell_hanging(void *ctx, struct task_struct *task, u64 nr_at, s64 took_ns,
				   bool can_sleep)
{
	u32 nr = call_number_of(task, nr_at & ~CALL_LATE);
	struct call_shape shape;
	enum call_waits_for what;
	struct file *file;
	u64 args[6] = {};
	struct slow *e;

	call_shape_of(&shape, nr);
	task_syscall_args(args, task, nr & SYSCALL_32BIT);
	file = shape.fd ? file_of_task(task, arg_of(args, shape.fd)) : NULL;
	what = call_waits_for(&shape, file);
	if (!waits_wanted(what, true) || took_ns < sonda_conf.min_ns || sonda_conf.errors_only)
		return 0;
	e = event_new(slow);
	if (!e)
		return 0;
	task_fill(&e->task, task);
	e->state = SLOW_STATE_HANGING;
	e->syscall = nr;
	e->took_ns = took_ns;
	e->at_least = nr_at & CALL_LATE;
	e->waits_for = what;
	__builtin_memcpy(e->args, args, sizeof(e->args));
	if (shape.path)
		text_path_of(e, task, (const void *)arg_of(args, shape.path), can_sleep);
	else
		text_file(e, object, file);
	stack_task(e, kstack, task);
	event_send(ctx, e);
	return 0;
}

static __always_inline int look(struct bpf_iter__task *ctx, bool can_sleep)
{
	struct task_struct *task = ctx->task;
	struct call_place *place;
	u64 who, began;

	if (!task || !hanging_s || !events_wanted())
		return 0;
	if (!ctx->meta->seq_num) {
		last_look_ns = look_ns;
		look_ns = call_clock();
	}
	if (task->tgid == sonda_conf.self || !task->mm)
		return 0;
	place = call_place_of(task->pid, &who);
	if (!place)
		return 0;
	began = place->began;
	if (!began || (began ^ who) >> CALL_TIME_BITS) {
		call_found(task, place, who);
		return 0;
	}
	began &= CALL_TIME;
	if (began == CALL_REFUSED ||
	    hanging_stage(began, look_ns) == hanging_stage(began, last_look_ns))
		return 0;
	return tell_hanging(ctx, task, place->nr, look_ns - began, can_sleep);
}

/* Where the program may sleep, it can read the memory of the task that it looks at. */
#define HANGS OPTIONAL("calls that hang") EVERY(1000)

ALT(hang, 1)
NEED("helper copy_from_user_task")
HANGS SEC("?iter.s/task") int look_and_read(struct bpf_iter__task *ctx)
{
	return look(ctx, true);
}

ALT(hang, 2) HANGS SEC("?iter/task") int look_only(struct bpf_iter__task *ctx)
{
	return look(ctx, false);
}
