/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Aligned text tables into a strbuf. Rows are held back until `settle_rows` have come or
 * table_settle() is called; the widths come from those, then stay; a wider cell grows its column
 * up to max_cols from that row on. The last column is free (never padded). On a terminal
 * (width_cols > 0) a cell above max_cols and a line above the width are cut with an ellipsis;
 * otherwise nothing is ever cut. Cells are escaped for terminals. One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/mem.h"
#include "base/term.h"

struct strbuf;
struct table;

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_col {
	const char *title;
	enum table_align align;
	unsigned min_cols; /* also at least the title's */
	unsigned max_cols; /* 0: no limit */
	bool whole;        /* never narrower than min_cols, however small the terminal */
	bool keep_end;     /* of what is too long: a path's end says which file it is */
};

struct table_style {
	unsigned width_cols;  /* of the terminal (term_width()); 0: not a terminal, cut nothing */
	unsigned settle_rows; /* rows that decide the widths; 0: 64 */
	bool colour;          /* allowed (term_has_colour()) */
	bool no_header;
};

/* `cols` and their titles are copied; `out` is borrowed and gets finished lines. Never NULL. */
MUST_USE struct table *table_new(const struct table_col *cols, size_t count,
				 struct table_style style, struct strbuf *out);
void table_free(struct table *t); /* what table_settle() didn't write is dropped */
AUTO_PTR(table)

/* The next cell of the row. Cells that are missing at the end of a row are empty; one too many is a
 * programming error. */
void table_cell(struct table *t, enum term_style style, const char *text, size_t len);
void table_cellf(struct table *t, enum term_style style, const char *fmt, ...) PRINTF(3, 4);
static inline void table_str(struct table *t, const char *text)
{
	table_cell(t, TERM_PLAIN, text, strlen(text));
}
void table_row_end(struct table *t);

/* Decides the widths from what is there and writes it; also the header of an empty table. */
void table_settle(struct table *t);
/* The header line once more (after a screenful, or after a resize). */
void table_header(struct table *t);
