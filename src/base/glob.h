/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Path globs:
 *   ?        one character, not '/'
 *   *        any number of characters, not '/'
 *   **       any number of characters, '/' too (a leading or inner "**" + "/" also matches nothing)
 *   [a-z]    one of a set or ranges, never '/'; [!...] or [^...] one not in it; ']' first is itself
 *   {a,b}    one of the alternatives, which may hold globs and further braces
 *   \c       c itself
 * Everything else is itself, byte for byte, and the whole text must match. UTF-8 counts as bytes.
 * A '[' or '{' that is never closed is itself. Work is bounded for any pattern: see GLOB_STEPS_MAX.
 */
#include <stdbool.h>

#include "base/attr.h"

struct err;

enum {
	GLOB_LEN_MAX = 4096,          /* bytes of a pattern */
	GLOB_STEPS_MAX = 1024 * 1024, /* a match that needs more steps is no match */
};

MUST_USE bool glob_matches(const char *pattern, const char *text);

/* Refuses what is most likely a slip: an unclosed [ or {, a trailing backslash, too long (EINVAL).
 * For input from a user; glob_matches() needs no check first. */
MUST_USE int glob_check(const char *pattern, struct err *e);
