/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What a policy would have refused of what was recorded. */
#include "base/attr.h"

struct err;
struct policy;

/* `path` is a recording of what policy_asked.c has a row for; "-": standard input. `format`: "text", "json",
 * NULL: text. Returns EXIT_OK, or -errno. */
MUST_USE int policy_trial_print(const struct policy *p, const char *path, const char *format,
				struct err *e);
