/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Is a denial of the kernel's surface really one here? Found out by being denied. Inside src/enforce only.
 * One thread. */
#include <stdbool.h>

#include "base/attr.h"
#include "policy/policy.h"

struct err;
struct object;

struct kernel_trial {
	unsigned denied;    /* bits of enum policy_kernel_operation that were refused */
	const char *method; /* "lsm", "fmod_ret" */
};

/* Loads the guard once more, for a process of its own alone, which tries each operation. Once in a process;
 * later calls give the same. Errors: those of loading. */
MUST_USE int kernel_trial(struct kernel_trial *ret, struct err *e);

/* Fills a generation of a loaded guard.kernel; `for_trial`: also sonda is refused. */
MUST_USE int kernel_guard_fill(const struct object *o, const struct policy *p, unsigned gen,
			       bool for_trial, struct err *e);
