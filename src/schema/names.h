/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Making `struct names` out of an enum's values. For this folder: others read them through
 * schema.h (names_get, names_value).
 */
#include "base/arena.h"
#include "schema/schema.h"

/* A name that C could have: letters, digits and _, not a digit first, at most 255 bytes. Whatever
 * gets printed unquoted has passed this. */
MUST_USE bool name_is_identifier(const char *name);

/*
 * From the enumerators as declared, in any order; names that are no identifiers are left out, and
 * of several names for one value the first counts. The prefix that all share is cut after a '_' and
 * the rest is lower-cased, unless that would leave nothing, or begin with a digit; an enum of one
 * value keeps its name. Names with a leading "__" (limits, most often) don't count for the prefix.
 */
MUST_USE const struct names *names_new(struct arena *a, const char *enum_name,
				       const struct names_row *rows, size_t count);
