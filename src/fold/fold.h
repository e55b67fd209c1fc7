/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Folding: rows of a metric table (labels and values as the kernel counts them) or of a stream,
 * grouped by labels, with deltas and rates between two readings, sorted, cut to the top N; and
 * histograms merged. What `top`, `hist` and metrics export show. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "schema/schema.h"

struct err;
struct fold;

struct fold_options {
	const struct schema *labels; /* fields to group by come from here ... */
	const struct schema *values; /* ... counters, gauges and histograms from here */
	const char *const *by;       /* names of labels; NULL: all that are not hidden */
	size_t by_count;
};

/* One group after a reading. Arrays are in the order of fold_columns(). */
struct fold_row {
	const struct value *labels;    /* by_count of them; VALUE_NONE each for the "other" row */
	const uint64_t *totals;        /* counters and gauges since the probe began */
	const uint64_t *deltas;        /* counters: since the reading before; gauges: as totals */
	const uint64_t *const *slots;  /* of each histogram: counts since the reading before */
	const uint64_t *const *slots_total;
	const uint64_t *sums;          /* of each histogram, since the reading before */
	bool is_other;                 /* what found no room in the table */
};

/* What the columns of a fold are. */
struct fold_columns {
	const struct field *const *labels;
	size_t label_count;
	const struct field *const *values; /* counters and gauges */
	size_t value_count;
	const struct field *const *hists;
	size_t hist_count;
};

/* Errors: EINVAL (unknown label, with a suggestion). */
MUST_USE int fold_new(const struct fold_options *options, struct fold **ret, struct err *e);
void fold_free(struct fold *f);
AUTO_PTR(fold)
const struct fold_columns *fold_columns(const struct fold *f);

/* A reading: begin, add each row of the table (key and value bytes of the schemas' sizes), end. */
void fold_begin(struct fold *f, uint64_t at_ns);
void fold_add(struct fold *f, const void *key, const void *value);
void fold_end(struct fold *f);
/* Seconds between the last two readings. */
double fold_interval_s(const struct fold *f);

/* The groups of the last reading, sorted by the delta (or total) of a column, most first; those
 * with nothing in the interval are left out with `only_active`. At most `limit` (0: all). The array is
 * the fold's, valid until the next reading. `column`: index into values, or label index with
 * FOLD_BY_LABEL added. */
MUST_USE const struct fold_row *fold_sorted(struct fold *f, size_t column, bool by_total,
					    bool only_active, size_t limit, size_t *ret_count);
