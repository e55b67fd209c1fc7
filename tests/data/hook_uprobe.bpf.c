/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Functions and marks of a program that a parameter names: uprobe, uretprobe, USDT. */
#include "tests/data/hook.h"
#include <bpf/usdt.bpf.h>

HOOK(uprobe, "A program's own functions");
PARAM_TEXT(program, 200, "", KIND("path") DOC("path of the program"));
PARAM_TEXT(function, 64, "work", DOC("function in it"));

SEC("uprobe")
TARGETS("@program:no_such_function @program:@function")
int BPF_UPROBE(begins, int n)
{
	return tell(ctx, 0, n);
}

SEC("uretprobe")
TARGETS("@program:@function")
int BPF_URETPROBE(returns, int n)
{
	return tell(ctx, 1, n);
}

SEC("usdt")
TARGETS("@program:sonda:step")
int mark(struct pt_regs *ctx)
{
	long n = 0;

	bpf_usdt_arg(ctx, 0, &n);
	return tell(ctx, 2, (int)n);
}
