/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What a policy in force does, and what applying another would change, as text or JSON. */
#include "base/attr.h"

struct enforce;
struct err;
struct policy;

/* `format`: "text" or "json"; NULL: text. Print to the standard output. Return EXIT_OK or -errno. */
MUST_USE int policy_status_print(struct enforce *f, const char *format, struct err *e);
MUST_USE int policy_plan_print(const struct enforce *f, const struct policy *next,
			       const char *format, struct err *e);
