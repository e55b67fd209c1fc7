/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What a loaded object weighs in the kernel, and what a run of its programs takes. One thread. */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

struct object_weight {
	unsigned programs;
	uint64_t insns; /* verified; `insns_are_code`: those it consists of (kernels before 5.16) */
	bool insns_are_code;
	uint64_t program_bytes; /* memory, as the kernel accounts it */
	uint64_t map_bytes;     /* likewise; maps that are shared with other objects too */
};
void object_weigh(const struct object *o, struct object_weight *ret_weight);

/* ns that a run of the slot's program takes while `work` goes on, which makes it run, `runs` times at
 * least; without the clock's own time. Switches the kernel's run-time statistics on for so long.
 * Errors: ENOENT (nothing is loaded for the slot, or it didn't run), EPERM, ENOTSUP (before 5.8). */
typedef void work_fn(void *ctx);
MUST_USE int object_run_ns(const struct object *o, const char *slot, work_fn *work, void *ctx,
			   uint64_t *ret_ns, struct err *e);
