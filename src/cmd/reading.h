/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A reading of a metric table made into text, JSON or CSV: what top and hist show. Nothing is
 * printed here; all goes into a buffer. One thread.
 */
#include <stdbool.h>

#include "base/attr.h"
#include "fold/fold.h"

struct strbuf;
struct wall;

struct reading {
	const char *probe, *table; /* "fs.open", "opens" */
	const char *title;         /* what people call it; NULL: by probe and table */
	struct fold *fold;
	struct fold_order order;
	bool whole; /* the last: what was counted from the beginning, not since the reading before */
	bool colour; /* allowed */
	bool ascii;  /* no other characters */
	bool no_header;
	unsigned width_cols; /* of the terminal; 0: not one, cut nothing */
	struct wall *wall;
	const char *note; /* behind the title: keys, losses; may be NULL */
	const char
		*filter; /* only groups with this in a label's text, in upper or lower case; NULL */
};

/* A counter's or gauge's word as the value that it is: levels may be below zero. */
static inline struct value reading_value(const struct field *f, uint64_t word)
{
	return f->is_signed ? value_s64((int64_t)word) : value_u64(word);
}

/* Narrows the order to what the filter lets pass. */
void reading_narrow(struct reading *r);

/* A line a group, and how many the limit leaves out. */
void reading_ranking(const struct reading *r, struct strbuf *out);
/* A block of bars for each group and histogram. */
void reading_bars(const struct reading *r, struct strbuf *out);
/* An object a group. */
void reading_json(const struct reading *r, struct strbuf *out);
/* A line a group; `header`: the names of the columns first. */
void reading_csv(const struct reading *r, bool header, struct strbuf *out);
/* A line a group for flame graphs: other labels, then the stacks outermost first, then what the rows are
 * sorted by. */
void reading_folded(const struct reading *r, struct strbuf *out);

/* ---- for the files behind these ---- */

/* "02:21:03.123  fs.open opens, 1.00 s": what begins every block of text. */
void reading_title(const struct reading *r, struct strbuf *out);
/* "comm bash, err ENOENT", "other", or "" when there is but one group. */
void reading_labels(const struct reading *r, const struct fold_row *row, struct strbuf *out);
/* A bound of a histogram's slot with its unit: "1.02 ms". */
void reading_bound(const struct field *hist, uint64_t bound, struct strbuf *out);
/* A percentile: "≤1.02 ms", ">34.4 s" beyond the last bound, "-" when nothing was observed; 1 is the
 * most that was observed. */
void reading_percentile(const struct reading *r, const struct field *hist, const uint64_t *slots,
			double fraction, struct strbuf *out);
/* The lower bound of that percentile's slot, which the value is above; 0 for the first slot. */
uint64_t reading_percentile_above(const struct field *hist, const uint64_t *slots, double fraction);
/* Is the label told in words by another column, so that people need no number? */
bool reading_is_told(const struct fold_columns *c, const struct field *label);
/* A label for people; where the words of a note are missing, the number that it speaks of. */
void reading_label(const struct fold_columns *c, const struct fold_row *row, size_t nth,
		   struct strbuf *out);
/* The time that a reading is about. */
static inline uint64_t reading_span_ns(const struct reading *r)
{
	return r->whole ? fold_whole_ns(r->fold) : fold_interval_ns(r->fold);
}
/* The slots of the nth histogram that a reading is about. */
static inline const uint64_t *reading_slots(const struct reading *r, const struct fold_row *row,
					    size_t nth)
{
	return (r->whole ? row->slots_total : row->slots)[nth];
}
