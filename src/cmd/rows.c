/* SPDX-License-Identifier: BSD-2-Clause */
/* Keeping and sorting. */
#include "cmd/rows.h"

#include "fold/fold.h"
#include "schema/kind.h"

/* Texts that enrichers put together don't outlive the next value. */
static struct value key_keep(struct rows *rows, const struct row *row, const struct field *by)
{
	struct value v = by ? row_value(row, by) : value_none();

	if (v.type == VALUE_TEXT && by->type == FIELD_DERIVED)
		v.text.s = arena_memdup(&rows->arena, v.text.s, v.text.len);
	return v;
}

void rows_keep(struct rows *rows, const struct row *row, const struct field *by)
{
	struct kept_row *kept = vec_add(&rows->at);

	kept->row = *row;
	kept->row.seq = rows->at.len; /* the order they came in */
	kept->row.bytes = (const unsigned char *)arena_memdup(&rows->arena, row->bytes, row->size);
	kept->key = key_keep(rows, &kept->row, by);
}

static bool is_number(const struct value *v)
{
	return v->type == VALUE_U64 || v->type == VALUE_S64 || v->type == VALUE_DOUBLE ||
	       v->type == VALUE_BOOL;
}

static int compare(const void *va, const void *vb, void *ctx)
{
	const struct kept_row *a = va, *b = vb;
	const struct rows *rows = ctx;
	int order;

	if ((a->key.type == VALUE_NONE) != (b->key.type == VALUE_NONE))
		return a->key.type == VALUE_NONE ? 1 : -1;
	order = fold_compare(&a->key, &b->key);
	if (is_number(&a->key) != rows->reverse)
		order = -order;
	return order ? order : (a->row.seq > b->row.seq) - (a->row.seq < b->row.seq);
}

void rows_sort(struct rows *rows)
{
	if (rows->at.len)
		qsort_r(rows->at.at, rows->at.len, sizeof(*rows->at.at), compare, rows);
}

void rows_done(struct rows *rows)
{
	vec_done(&rows->at);
	arena_done(&rows->arena);
}
