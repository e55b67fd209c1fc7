/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Folding: the rows of a metric table, as the kernel counts them, grouped by labels, with what was
 * added between two readings, sorted. What `top`, `hist` and metrics export show. Groups are kept
 * from reading to reading: a fold has as many as the table had rows. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "schema/schema.h"

struct err;
struct fold;

/* Schemas are borrowed and must outlive the fold. */
struct fold_options {
	const struct schema *labels; /* fields to group by come from here ... */
	const struct schema *values; /* ... counters, gauges and histograms from here */
	const char *const *by;       /* names of labels; NULL: all that are not hidden */
	size_t by_count;             /* 0 with `by` set: all in one group */
	/* Says what comes with a label, as a column of its own behind the last: a name of `labels`
	 * that follows from it ("comm" from pid), which takes no part in grouping; NULL: nothing.
	 * May be NULL. */
	const char *(*note)(const struct schema *labels, const struct field *label);
};

/* One group after a reading. Arrays are in the order of fold_columns(). */
struct fold_row {
	const struct value *labels;   /* VALUE_NONE each for the "other" row */
	const uint64_t *totals;       /* counters since the probe began; gauges as they stand */
	const uint64_t *deltas;       /* counters: since the reading before; gauges: as totals */
	const uint64_t *const *slots; /* of each histogram: counts since the reading before */
	const uint64_t *const *slots_total;
	const uint64_t *sums; /* of each histogram, since the reading before */
	const uint64_t *sums_total;
	bool is_other; /* what found no room in the table */
};

/* What the columns of a fold are. */
struct fold_columns {
	const struct field *const *labels; /* those grouped by, then what comes with them */
	size_t label_count, key_count;     /* all; those grouped by */
	const struct field *const *values; /* counters and gauges */
	size_t value_count;
	const struct field *const *hists;
	size_t hist_count;
	const struct fold_ratio {
		const struct field *field;
		size_t part, whole; /* of the values */
	} * ratios;
	size_t ratio_count;
};

/* What rows are sorted by: values and ratios most first (and last where there is none, whatever the
 * order), histograms by their 99th percentile, labels from A. */
enum fold_what { FOLD_VALUE, FOLD_RATIO, FOLD_HIST, FOLD_LABEL };
struct fold_order {
	enum fold_what what;
	size_t nth;    /* of that sort of columns */
	bool by_total; /* else by what was added since the reading before */
	bool reverse;
	bool by_count;    /* histograms: by the number of observations instead */
	bool only_active; /* without the groups where nothing was counted in the interval */
	size_t limit;     /* groups at most, besides the "other" one; 0: all */
	/* Shall the group be shown? The "other" one always is. NULL: all are. */
	bool (*keep)(const struct fold_row *row, void *ctx);
	void *ctx;
};

/* The field of that name, with or without its unit ("took" for took_ns), among `count`; NULL. */
MUST_USE const struct field *fold_field(const struct field *fields, size_t count, const char *name);

/* Errors: EINVAL with EXIT_USAGE (an unknown label, with a suggestion). */
MUST_USE int fold_new(const struct fold_options *options, struct fold **ret, struct err *e);
void fold_free(struct fold *f);
AUTO_PTR(fold)
MUST_USE const struct fold_columns *fold_columns(const struct fold *f);

/* A reading: begin, add each row of the table (key and value bytes of the schemas' sizes), end. The
 * first is compared with nothing counted. Errors in the bytes can't be: what is too short is 0. */
void fold_begin(struct fold *f, uint64_t at_ns);
void fold_add(struct fold *f, const void *key, const void *value);
void fold_end(struct fold *f);
MUST_USE uint64_t fold_at_ns(const struct fold *f);       /* of the last reading */
MUST_USE uint64_t fold_interval_ns(const struct fold *f); /* between the last two; 0: only one */
MUST_USE uint64_t fold_whole_ns(const struct fold *f);    /* between the first and the last */

/* The order by a column's name. Errors: EINVAL with EXIT_USAGE (unknown, with a suggestion). */
MUST_USE int fold_order_by(const struct fold *f, const char *column, struct fold_order *ret,
			   struct err *e);
/* The groups of the last reading with anything in them, sorted, at most order->limit; the "other" row
 * comes last whatever the order and the limit. *ret_left_out: how many the limit has left out. The
 * array is the fold's, valid until the next call or reading. */
MUST_USE const struct fold_row *fold_sorted(struct fold *f, const struct fold_order *order,
					    size_t *ret_count, size_t *ret_left_out);

/* All groups of the last reading that order->keep lets pass added up, those too that a limit leaves
 * out. The row is the fold's, valid until the next call. */
MUST_USE const struct fold_row *fold_total(struct fold *f, const struct fold_order *order);

/* The nth ratio of a group: of what the interval added, or of the totals. */
MUST_USE struct value fold_ratio_value(const struct fold *f, const struct fold_row *row, size_t nth,
				       bool total);
/* How many observations the slots hold. */
MUST_USE uint64_t fold_observations(const struct field *hist, const uint64_t *slots);
/* Do two values of a label's field come in this order? <0, 0, >0. */
MUST_USE int fold_compare(const struct value *a, const struct value *b);
