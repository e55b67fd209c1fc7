/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What rules read from files when they are applied (`set name = lines of PATH`): the text of a policy doesn't show
 * when that has changed. One thread. */
#include "abi/policy.h"
#include "base/attr.h"
#include "policy/policy.h"

struct err;
struct strbuf;

/* Of the lists that the rule names, as they are now; zero: it names none. Errors: of reading them. */
MUST_USE int lists_sum(const struct policy *p, const struct policy_rule *r,
		       struct policy_lists *ret, struct err *e);
/* A line for each list that rules name and that has no values. */
void lists_caution(const struct policy *p, struct strbuf *out);
