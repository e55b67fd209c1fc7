/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A classic tracepoint: of two system calls, with their arguments. */
#include "tests/data/hook.h"

HOOK(tracepoint, "A classic tracepoint")

ALSO("syscalls/sys_enter_ftruncate") SEC("tp/syscalls/sys_enter_truncate")
int truncate_begins(struct syscall_args *ctx)
{
	return tell(ctx, 0, ctx->arg[1]);
}
