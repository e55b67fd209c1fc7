/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Columns on a narrow terminal: whole ones are left out, the least wanted first, before those that
 * say what happened (which process, file, name, peer, outcome, how long) are cut beyond use. What a
 * column is worth is told by its field's kind, or by a name that probes give to the same thing. Memory
 * is the caller's. One thread.
 */
#include <stdbool.h>

#include "base/attr.h"

struct column;
struct columns;
struct strbuf;

enum { NARROW_GAP_COLS = 2 }; /* between columns of a table */

enum narrow_form {
	NARROW_TABLE, /* a column each */
	NARROW_WORDS, /* name=value, but for time, probe, pid and comm */
};

/* Fits the columns into `width_cols`, in words with what came of it first; the names of those that go
 * are appended to `ret_left_out`: "uid, fd".
 * False: all have their usual width, there was nothing to do. */
MUST_USE bool columns_narrow(struct columns *c, enum narrow_form form, unsigned width_cols,
			     struct strbuf *ret_left_out);
/* The usual width of a column's values, without its title. */
MUST_USE unsigned column_cols(const struct column *c, bool narrow);
/* Has it, where rows are words, a place of its own? */
MUST_USE bool column_is_apart(const struct column *c);
