/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Is a denial really one on this kernel? Found out by being denied. Inside src/enforce only. One thread. */
#include <stdbool.h>

#include "base/attr.h"
#include "enforce/guard.h"
#include "policy/policy.h"

struct err;
struct object;

struct file_trial {
	unsigned denied;    /* bits of enum policy_operation that were refused */
	const char *method; /* "lsm", "fmod_ret" */
	uint64_t
		open_ns; /* what an open that no rule is about takes in the guard; 0: not measured */
};

/* Loads the guard once more, with a directory of its own as its only object, and tries each operation.
 * Once in a process; later calls give the same. Errors: those of loading. */
MUST_USE int file_trial(struct file_trial *ret, struct err *e);

/* struct guard's cost: what an open takes in the guard that no rule is about. Found by the trial. */
MUST_USE int file_cost(struct object *o, struct guard_cost *ret_cost, struct err *e);

/* Fills a generation of a loaded guard.file; `for_trial`: also sonda is refused. */
MUST_USE int file_guard_fill(const struct object *o, const struct policy *p, unsigned gen,
			     bool for_trial, struct err *e);
