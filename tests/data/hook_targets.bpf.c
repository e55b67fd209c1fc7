/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The first function that is there, by fentry alone. */
#include "tests/data/hook.h"

HOOK(targets, "The first of several functions")

SEC("fentry")
TARGETS("no_such_function vfs_truncate vfs_fsync_range")
int BPF_PROG(begins, const void *path, s64 length)
{
	return tell(ctx, 0, length);
}
