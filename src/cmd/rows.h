/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Rows kept to be sorted by a field. One thread. */
#include <stdbool.h>

#include "base/arena.h"
#include "base/vec.h"
#include "schema/schema.h"

struct kept_row {
	struct row row;
	struct value key;
};
struct rows {
	struct arena arena;
	vec(struct kept_row) at;
	bool reverse;
};

/* Copies the row; `by` is a field of its schema, or NULL: this one has none such. */
void rows_keep(struct rows *rows, const struct row *row, const struct field *by);
/* Numbers most first, everything else from A; what has no value last; equals as they came. */
void rows_sort(struct rows *rows);
void rows_done(struct rows *rows);
