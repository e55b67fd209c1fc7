/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* kprobe and kretprobe, with the first of several functions that is there. */
#include "tests/data/hook.h"

HOOK(kprobe, "kprobes")

SEC("kprobe")
TARGETS("no_such_function vfs_truncate")
int BPF_KPROBE(begins, const void *path, s64 length)
{
	return tell(ctx, 0, length);
}

SEC("kretprobe")
TARGETS("no_such_function vfs_truncate")
int BPF_KRETPROBE(returns, int err)
{
	return tell(ctx, 1, err);
}
