/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A security hook that only looks. */
#include "tests/data/hook.h"

HOOK(lsm, "A security hook")

SEC("lsm/path_truncate")
int BPF_PROG(truncate, const void *path)
{
	tell(ctx, 0, 0);
	return 0;
}
