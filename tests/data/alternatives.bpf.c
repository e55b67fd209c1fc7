/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Alternatives of every fate, for the loader's test. */
#include "sonda.bpf.h"

PROBE(alternatives, "test", "Alternatives of every fate");

/* rank 1 falls by a need, and takes its partner along; rank 2 stands without its optional part */
ALT(pair, 1) NEED("func no_such_function") SEC("?raw_tp/sys_enter") int pair_gated(void *ctx)
{
	return 0;
}
ALT(pair, 1) SEC("?raw_tp/sys_exit") int pair_partner(void *ctx)
{
	return 0;
}
ALT(pair, 2) SEC("?raw_tp/sys_enter") int pair_taken(void *ctx)
{
	return 0;
}
ALT(pair, 2)
OPTIONAL("exits") NEED("!type task_struct") SEC("?raw_tp/sys_exit") int pair_optional(void *ctx)
{
	return 0;
}

/* rank 1 is refused by the verifier, rank 2 where it attaches, rank 3 works */
ALT(late, 1) SEC("?raw_tp/sys_enter") int late_refused(struct bpf_raw_tracepoint_args *ctx)
{
	u64 *regs = (u64 *)ctx->args[0];

	return *regs & 1;
}
ALT(late, 2) SEC("?uprobe") TARGETS("/no/such/program:main") int late_nowhere(void *ctx)
{
	return 0;
}
ALT(late, 3)
NEED("type task_struct") NEED("field task_struct.mm.exe_file") NEED("helper map_lookup_elem")
	NEED("map hash") NEED("tpargs sys_enter 2") NEED("!config NO_SUCH_THING")
		NEED("func vfs_read") NEED("!kfunc no_such_function")
			SEC("?raw_tp/sys_enter") int late_works(void *ctx)
{
	return 0;
}

/* nothing is left of it, and that is no failure */
OPTIONAL("dreams") NEED("type no_such_type") SEC("?raw_tp/sys_enter") int dreams(void *ctx)
{
	return 0;
}
