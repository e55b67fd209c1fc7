/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A metric table of a session's probe, read again and again into a fold. Before the probe is loaded,
 * labels that nobody asks for are left out in the kernel: neither worked out nor stored. One thread.
 *
 *	session_ready() -> tables_find() -> table_reader_new() -> session_load()
 *	-> table_reader_open() -> table_reader_read() ... table_reader_fold()
 */
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "fold/fold.h"

struct err;
struct metric_table;
struct probe;
struct session;
struct table_reader;

/* The table of that name of a probe; NULL: its first. Errors: EINVAL with EXIT_USAGE (no tables, an
 * unknown name with a suggestion). */
MUST_USE int tables_find(const struct probe *p, const char *name,
			 const struct metric_table **ret, struct err *e);

struct table_asked {
	size_t probe; /* which of the session's */
	const struct metric_table *table;
	const struct schema *values; /* fewer of the table's values; NULL: all. Borrowed */
	const char *const *by;       /* as fold_options */
	size_t by_count;
};

/* The label of that name, one that is derived too; NULL: the table has none. */
MUST_USE const struct field *table_label(const struct session *s, const struct table_asked *asked,
					 const char *name);

/* Of a ready session, which must outlive it; the rows pass --where, which may speak of labels and
 * values. Errors: EINVAL and ENOENT with EXIT_USAGE (an unknown label or field). */
MUST_USE int table_reader_new(struct session *s, const struct table_asked *asked,
			      struct table_reader **ret, struct err *e);
void table_reader_free(struct table_reader *r);
AUTO_PTR(table_reader)

/* Of the loaded session. */
MUST_USE int table_reader_open(struct table_reader *r, struct err *e);
/* One reading into the fold. On failure the fold keeps what was read so far. */
MUST_USE int table_reader_read(struct table_reader *r, uint64_t at_ns, struct err *e);
/* The reader's. */
MUST_USE struct fold *table_reader_fold(const struct table_reader *r);
/* Rows that the last reading found, without the shared "other" one; how many there is room for. */
MUST_USE uint32_t table_reader_rows(const struct table_reader *r);
MUST_USE uint32_t table_reader_rows_max(const struct table_reader *r);
