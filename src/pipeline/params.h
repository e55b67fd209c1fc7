/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A probe's parameters as options: made from its declaration, written into its object. */
#include "base/attr.h"

struct err;
struct opt;
struct opt_set;
struct probe;

/* Adds a table of the probe's parameters to `set`. The rows are the caller's until the set is done, then
 * params_free(). NULL when there are none. */
struct opt *params_options(struct probe *p, struct opt_set *set);
/* Has all been given that must be? Errors: EINVAL (EXIT_USAGE). */
MUST_USE int params_ready(const struct probe *p, struct err *e);
void params_free(struct opt *rows);
