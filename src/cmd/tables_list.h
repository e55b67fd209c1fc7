/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The metric tables that there are, for top and hist without a word. One thread. */
#include <stdbool.h>

#include "base/attr.h"

struct catalog;
struct err;

/* A line (JSON: an object) for each table, or for each that has histograms, to stdout. `format`: text
 * or json; NULL: text. Errors: EINVAL with EXIT_USAGE (another format). */
MUST_USE int tables_list(const struct catalog *c, const char *format, bool hists, struct err *e);
