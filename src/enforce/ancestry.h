/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Which program has which bit in the lines of descent (abi/policy_ancestry.h). guard.ancestry gives them when it
 * is filled, which is before all guards that ask about ancestors. Inside src/enforce only. One thread.
 */
#include <stdint.h>

#include "abi/policy_ancestry.h"
#include "base/attr.h"
#include "enforce/file_paths.h"

struct err;

/* The bit of a program that the policy at hand names, identified. Errors: ENOENT (guard.ancestry has not been
 * filled with that policy). */
MUST_USE int ancestry_bit(const struct file_path *program, uint64_t *ret_bit, struct err *e);
