/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Many functions by one program; what isn't in the kernel is left out. */
#include "tests/data/hook.h"

HOOK(multi, "kprobes on many functions")

SEC("kprobe.multi")
TARGETS("vfs_truncate no_such_function notify_change")
int begin(void *ctx)
{
	return tell(ctx, 0, 0);
}

SEC("kretprobe.multi")
TARGETS("vfs_truncate no_such_function notify_change")
int return_(struct pt_regs *ctx)
{
	return tell(ctx, 1, (int)PT_REGS_RC(ctx));
}
