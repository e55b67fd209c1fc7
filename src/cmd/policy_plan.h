/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What applying a policy would come to, as text or JSON. */
#include "base/attr.h"

struct enforce;
struct enforce_source;
struct err;
struct policy;

/* `against`: a recording that it is put to as well (policy_trial.h); NULL: none. `format`: "text" or "json";
 * NULL: text. Prints to the standard output. Returns EXIT_OK or -errno: also what would keep the policy
 * from being applied. */
MUST_USE int policy_plan_print(const struct enforce *f, const struct enforce_source *source,
			       const struct policy *next, const char *against, const char *format,
			       struct err *e);
