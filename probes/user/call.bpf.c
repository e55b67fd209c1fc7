/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * user.call: calls of functions in programs and libraries, by a breakpoint at the entry and one at the
 * return. One event each when it returns, or counts and a histogram in the kernel.
 */
#define FRAME_TEXT 64
#include "sonda.bpf.h"
#include "sonda/function.h"
#include "sonda/stack.h"

PROBE(call, "user", "Calls of any function of a program or library: arguments, result, time");
FILTERS("task errors min");
PARAM_TEXT(function, 512, "",
	   REQUIRED("BINARY:FUNCTION,...")
		   DOC("which: /usr/bin/bash:readline, libc.so.6:malloc, /bin/x:0x1130"));
PARAM(u32, text, 0,
      DOC("the argument that is a text, as at the entry (at the return if its page was not there yet); 0: none")
	      RANGE(0, 6));

EVENT(call, "A function returned")
{
	struct task task;
	char function[TARGET_NAME] KIND("str") DOC("its name");
	s64 result DOC("what it returned, see --returns");
	u64 took_ns KIND("duration") DOC("from its entry to its return, with what it called");
	u64 args[FRAME_ARGS] DOC("registers of the first arguments; meaningless beyond those it has");
	struct text text KIND("str") DOC("the argument that --text names, at most 63 bytes");
	struct stack ustack KIND("ustack") HIDE DOC("who called it");
};

/* The last byte of the text, where a text has none: it couldn't be read. */
#define TEXT_UNREAD (FRAME_TEXT - 1)

static __noinline int text_read(struct frame *f)
{
	u64 from = 0;

	if (!f)
		return 0;
	f->text[TEXT_UNREAD] = 0;
	for (u32 i = 0; i < FRAME_ARGS; i++)
		if (text == i + 1)
			from = f->args[i];
	if (!from || bpf_probe_read_user_str(f->text, FRAME_TEXT, (void *)from) < 0) {
		f->text[0] = '\0';
		f->text[TEXT_UNREAD] = !!from;
	}
	return 0;
}

SEC("uprobe")
EACH TARGETS("@function")
int entry(struct pt_regs *ctx)
{
	struct frame *f;

	if (!wanted())
		return 0;
	f = frame_push(target_here(ctx), PT_REGS_SP(ctx));
	if (!f)
		return 0;
	f->args[0] = PT_REGS_PARM1(ctx);
	f->args[1] = PT_REGS_PARM2(ctx);
	f->args[2] = PT_REGS_PARM3(ctx);
	f->args[3] = PT_REGS_PARM4(ctx);
	f->args[4] = PT_REGS_PARM5(ctx);
	f->args[5] = PT_REGS_PARM6(ctx);
	if (text)
		text_read(f);
	f->began_ns = bpf_ktime_get_ns();
	return 0;
}

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
	if (text)
		text_kernel(e, text, f->text);
	stack_user(ctx, e, ustack);
	event_send(ctx, e);
	return 0;
}

SEC("uretprobe")
EACH TARGETS("@function")
int leave(struct pt_regs *ctx)
{
	struct frame *f = frame_pop(target_here(ctx), PT_REGS_SP(ctx));

	/* at the entry it was in memory that nobody had touched yet; the function has */
	if (text && f && f->text[TEXT_UNREAD])
		text_read(f);
	return call_returns(ctx, f, PT_REGS_RC(ctx));
}
