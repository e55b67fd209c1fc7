/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A raw tracepoint, and one with its arguments' types, of the same place. */
#include "tests/data/hook.h"

HOOK(raw_tp, "Raw tracepoints");
PARAM(u32, number, 0, DOC("system call"));

SEC("raw_tp/sys_enter")
int raw(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1] == number ? tell(ctx, 0, ctx->args[1]) : 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(typed, void *regs, long id)
{
	return id == number ? tell(ctx, 1, id) : 0;
}
