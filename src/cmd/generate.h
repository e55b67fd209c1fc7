/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Documents made from the rows that the program itself uses, so that they can't drift. */
#include "base/attr.h"

struct err;

/* `what`: "events", "kinds", "commands", "verifier" (docs/WHAT.md) and "completion" (bash) to stdout; "man"
 * as files into `dir`. Errors: EXIT_USAGE, of writing. */
MUST_USE int generate(const char *what, const char *dir, struct err *e);
