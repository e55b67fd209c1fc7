/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * user.usdt: the marks that programs and libraries bring for tracing (USDT, <sys/sdt.h>): python,
 * PostgreSQL, MySQL, QEMU, libvirt, glibc and others have some. `readelf -n BINARY` lists them.
 */
#include "sonda.bpf.h"
#include "sonda/stack.h"

#include <bpf/usdt.bpf.h>

PROBE(usdt, "user", "Marks (USDT) that a program or library passes, with their arguments");
FILTERS("task");
PARAM_TEXT(mark, 512, "",
	   REQUIRED("BINARY:PROVIDER:NAME,...") DOC("which: /usr/bin/python3:python:line"));
PARAM(u32, text, 0, DOC("the argument that is a text; 0: none") RANGE(0, 6));
TARGET_NAMES;

#define MARK_ARGS 6

EVENT(usdt, "A mark was passed")
{
	struct task task;
	char mark[TARGET_NAME] KIND("str") DOC("provider:name");
	u64 args[MARK_ARGS] DOC("its arguments; 0 beyond those it has");
	struct text text KIND("str") DOC("the argument that --text names");
	struct stack ustack KIND("ustack") HIDE DOC("who passed it");
};

struct mark_labels {
	char mark[TARGET_NAME] KIND("str") DOC("provider:name");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 pad HIDE;
};
struct mark_values {
	u64 passed COUNTER DOC("how often");
};
METRICS_PERCPU(marks, struct mark_labels, struct mark_values, 2048, "Marks passed");

static __noinline int mark_counted(u32 here)
{
	struct mark_labels key = {};
	struct mark_values *row;

	if (label(marks, 0))
		target_name(key.mark, here);
	if (label(marks, 1))
		comm_now(key.comm);
	if (label(marks, 2))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	row = row_of(marks, &key);
	if (row)
		add(row->passed, 1);
	return 0;
}

SEC("usdt") EACH TARGETS("@mark") int mark_passed(struct pt_regs *ctx)
{
	u32 here = bpf_usdt_cookie(ctx);
	struct usdt *e;
	long arg;

	if (!wanted())
		return 0;
	if (tables_wanted())
		mark_counted(here);
	if (!events_wanted())
		return 0;
	e = event_new(usdt);
	if (!e)
		return 0;
	task_now(&e->task);
	target_name(e->mark, here);
	for (u32 i = 0; i < MARK_ARGS; i++) {
		arg = 0;
		bpf_usdt_arg(ctx, i, &arg);
		e->args[i] = arg;
		if (text == i + 1)
			text_user(e, text, (void *)arg);
	}
	stack_user(ctx, e, ustack);
	event_send(ctx, e);
	return 0;
}
