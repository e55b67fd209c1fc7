/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * kernel.call: calls of kernel functions, by a trampoline (one function) or by kprobes. One event each
 * when it returns, or counts and a histogram in the kernel.
 */
#include "sonda.bpf.h"
#include "sonda/function.h"
#include "sonda/stack.h"

PROBE(call, "kernel", "Calls of any kernel function: arguments, result, time");
FILTERS("task errors min");
PARAM_TEXT(function, 512, "",
	   REQUIRED("FUNCTION,...") DOC("which: vfs_read, tcp_sendmsg; also of modules"));

EVENT(call, "A kernel function returned")
{
	struct task task;
	char function[TARGET_NAME] KIND("str") DOC("its name");
	s64 result DOC("what it returned, see --returns");
	u64 took_ns KIND("duration") DOC("from its entry to its return, with what it called");
	u64 args[FRAME_ARGS] DOC("its first arguments; meaningless beyond those it has");
	struct stack kstack KIND("kstack") HIDE DOC("who called it; by kprobes only from 5.15 on");
};

static __noinline int call_told(void *ctx, struct frame *f, s64 result, u64 took_ns)
{
	struct call *e = f ? event_new(call) : NULL;

	if (!e)
		return 0;
	task_now(&e->task);
	target_name(e->function, f->target);
	e->result = result;
	e->took_ns = took_ns;
	__builtin_memcpy(e->args, f->args, sizeof(e->args));
	stack_kernel(ctx, e, kstack);
	event_send(ctx, e);
	return 0;
}

/* ---- by trampoline ---- */

#define TRAMPOLINE ALT(call, 1) EACH TARGETS("@function") NEED("helper get_func_arg")

TRAMPOLINE SEC("?fentry") int entry_trampoline(unsigned long long *ctx)
{
	struct frame *f = wanted() ? frame_push(0, 0) : NULL;

	if (!f)
		return 0;
	for (u32 i = 0; i < FRAME_ARGS; i++)
		if (bpf_get_func_arg(ctx, i, &f->args[i]))
			f->args[i] = 0;
	f->began_ns = bpf_ktime_get_ns();
	return 0;
}

TRAMPOLINE SEC("?fexit") int leave_trampoline(unsigned long long *ctx)
{
	u64 raw = 0;

	bpf_get_func_ret(ctx, &raw);
	return call_returns(ctx, frame_pop(0, 0), raw);
}

/* ---- by kprobes ---- */

#define KPROBE ALT(call, 2) EACH TARGETS("@function")

KPROBE SEC("?kprobe") int entry_kprobe(struct pt_regs *ctx)
{
	struct frame *f = wanted() ? frame_push(target_here(ctx), 0) : NULL;

	if (!f)
		return 0;
	f->args[0] = PT_REGS_PARM1(ctx);
	f->args[1] = PT_REGS_PARM2(ctx);
	f->args[2] = PT_REGS_PARM3(ctx);
	f->args[3] = PT_REGS_PARM4(ctx);
	f->args[4] = PT_REGS_PARM5(ctx);
	f->args[5] = PT_REGS_PARM6(ctx);
	f->began_ns = bpf_ktime_get_ns();
	return 0;
}

KPROBE SEC("?kretprobe") int leave_kprobe(struct pt_regs *ctx)
{
	return call_returns(ctx, frame_pop(target_here(ctx), 0), PT_REGS_RC(ctx));
}
