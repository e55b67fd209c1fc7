/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A probe's parameters as options: made from its declaration, written into its object. */
#include "base/attr.h"

struct err;
struct opt;
struct opt_set;
struct probe;
struct schema;

/* Adds a table of the probe's parameters to `set`. The rows are the caller's until the set is done, then
 * params_free(). NULL when there are none. */
struct opt *params_options(struct probe *p, struct opt_set *set);
/* Has all been given that must be? Errors: EINVAL (EXIT_USAGE). */
MUST_USE int params_ready(const struct probe *p, struct err *e);
/* `event` with the fields shown that are called as a parameter that is set (not 0, not empty). NULL: as it
 * is; else the caller's, schema_free(). */
MUST_USE struct schema *params_shown(const struct probe *p, const struct schema *event);
void params_free(struct opt *rows);
