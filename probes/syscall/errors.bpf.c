/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * System calls that fail: which, with what error, on what object, by whom. Only the exit is hooked, and
 * there a call that succeeds costs one comparison.
 */
#define EVENT_MAX 4608 /* a whole path and the struct */
#include "sonda.bpf.h"

#include "sonda/call_object.h"
#include "sonda/calls.h"

PROBE(errors, "syscall", "System calls that fail: which, why, on what, by whom");
FILTERS("task");

PARAM(bool, routine, false,
      DOC("also mere answers: EAGAIN, EINPROGRESS, a futex's ETIMEDOUT, an ioctl's ENOTTY"));

EVENT(errors, "A system call failed")
{
	struct task task;
	u32 syscall KIND("syscall") DOC("which call");
	s32 err KIND("errno") DOC("why it failed");
	struct text object DOC("what it was about, where that is plain: a path, a socket, as it was "
			       "asked for or as the descriptor is");
	u64 args[6] HIDE DOC("its arguments");
};

struct error_labels {
	u32 syscall KIND("syscall") DOC("which call");
	s32 err KIND("errno") DOC("why it failed");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 uid KIND("uid") HIDE DOC("user the thread runs as");
};
struct error_values {
	u64 errors COUNTER DOC("calls that failed");
};
METRICS(errors, struct error_labels, struct error_values, 4096, "System calls that failed");

static __always_inline bool is_routine(u32 nr, s32 err)
{
	return err == -EAGAIN || err == -EINPROGRESS || (err == -ETIMEDOUT && nr == __NR_futex) ||
	       (err == -ENOTTY && nr == __NR_ioctl);
}

static __noinline int count_error(u32 nr, s32 err)
{
	struct error_labels key = {};
	struct error_values *row;

	if (label(errors, 0))
		key.syscall = nr;
	if (label(errors, 1))
		key.err = err;
	if (label(errors, 2))
		comm_now(key.comm);
	if (label(errors, 3))
		key.cgroup = task_cgroup_id(current_task());
	if (label(errors, 4))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(errors, 5))
		key.uid = task_uid(current_task());
	row = row_of(errors, &key);
	if (row)
		add(row->errors, 1);
	return 0;
}

static __noinline int tell_error(void *ctx, u32 nr, s32 err, const u64 *args)
{
	struct errors *e = event_new(errors);
	struct call_shape shape;

	if (!e || !args)
		return 0;
	task_now(&e->task);
	e->syscall = nr;
	e->err = err;
	__builtin_memcpy(e->args, args, sizeof(e->args));
	call_shape_of(&shape, nr);
	text_call_object(e, object, &shape, args);
	event_send(ctx, e);
	return 0;
}

SEC("tp_btf/sys_exit") int BPF_PROG(fails, struct pt_regs *regs, long ret)
{
	long raw = syscall_nr_raw(regs);
	s32 err = call_error(raw, ret);
	u64 args[6];
	u32 nr;

	if (!err || !wanted())
		return 0;
	nr = call_number(raw);
	if (!routine && is_routine(nr, err)) {
		count_filtered();
		return 0;
	}
	if (tables_wanted())
		count_error(nr, err);
	if (!events_wanted())
		return 0;
	syscall_args(args, regs, nr & SYSCALL_32BIT);
	return tell_error(ctx, nr, err, args);
}
