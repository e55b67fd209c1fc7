/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A list made of all probes, to stdout: what list, show, top and hist print without a word. One thread. */
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct catalog;
struct err;
struct probe;
struct strbuf;
struct table;
struct table_col;

struct catalog_list {
	const struct table_col *cols;
	size_t col_count;
	bool as_json, no_header;
	const char *csv_columns; /* as_json: members that CSV is made of; NULL: JSON is wanted */
	/* Of one probe: rows of the table, or lines. */
	void (*text)(struct table *to, struct probe *p, void *ctx);
	void (*json)(struct strbuf *out, struct probe *p, void *ctx);
	void *ctx;
};

/* Sonda's own helpers are left out; what can't be read is warned of. Errors: of writing. */
MUST_USE int catalog_list(const struct catalog *c, const struct catalog_list *how, struct err *e);
