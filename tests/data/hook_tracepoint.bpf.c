/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A classic tracepoint: of one system call, with its arguments. */
#include "tests/data/hook.h"

HOOK(tracepoint, "A classic tracepoint")

SEC("tp/syscalls/sys_enter_truncate")
int truncate_begins(struct syscall_args *ctx)
{
	return tell(ctx, 0, ctx->arg[1]);
}
