/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Is a denial really one on this kernel? Found out by being denied. Inside src/enforce only. One thread. */
#include <stddef.h>

#include "abi/policy_file.h"
#include "base/attr.h"
#include "enforce/guard.h"
#include "policy/policy.h"

struct err;
struct object;

/* Tries all operations on files of sonda's own with a guard that is loaded. Generation `gen` of its maps is
 * used and emptied; it is the one in force, or none is. Errors: of making the files. */
MUST_USE int file_trial(const struct object *o, unsigned gen, struct file_proof *ret_proof,
			struct err *e);

/* struct guard's cost: what an open takes in the guard that no rule is about. */
MUST_USE int file_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		       struct err *e);

/* Fills a generation of a loaded guard.file; `p` NULL: with nothing. */
MUST_USE int file_guard_fill(const struct object *o, const struct policy *p, unsigned gen,
			     struct err *e);
/* The same with `count` paths that nobody may do anything to. */
MUST_USE int file_guard_fill_trial(const struct object *o, const char *const *paths, size_t count,
				   unsigned gen, struct err *e);
