/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What each rule in force matches and refuses, by the second. */
#include <stdint.h>

#include "base/attr.h"

struct enforce_source;
struct err;

/* A table each `every_ns`, `times` of them (0: until it is interrupted), most matched first. `format`: "text"
 * or "json" (a line for each rule); NULL: text. Returns EXIT_OK or -errno. Errors: ENOENT (nothing is in
 * force, or no more). */
MUST_USE int policy_top_print(const struct enforce_source *source, uint64_t every_ns,
			      uint64_t times, const char *format, struct err *e);
