/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Between parse.c and check.c. */
#include "base/attr.h"
#include "policy/policy.h"

struct err;

/* What the tree must hold to as a whole: names, forms of values, words that fit together. Sets get the
 * form that they are used in. Errors: EINVAL with EXIT_POLICY and the place. */
MUST_USE int policy_check(struct policy *p, struct err *e);
