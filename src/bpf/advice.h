/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The verifier's usual messages and what to do about them: one table, also for docs/verifier.md. */
#include <stddef.h>

#include "base/attr.h"

struct advice {
	const char *message; /* part of the verifier's message; '*' stands for anything */
	const char *meaning; /* what it says in plain words */
	const char *remedy;  /* what to change in the C source */
};

MUST_USE const struct advice *advice_table(size_t *ret_count);
/* The row for a line of a log, or NULL. */
MUST_USE const struct advice *advice_find(const char *line);
