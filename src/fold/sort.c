/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of groups: by a column, then by their labels, so that equal ones don't dance. */
#include "fold/group.h"

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int order = memcmp(a, b, min(a_len, b_len));

	return order ?: compare_numbers(a_len, b_len);
}

int fold_compare(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return compare_numbers(a->type, b->type);
	switch (a->type) {
	case VALUE_NONE:
	case VALUE_LIST:
		return 0;
	case VALUE_U64:
		return compare_numbers(a->u64, b->u64);
	case VALUE_S64:
		return (a->s64 > b->s64) - (a->s64 < b->s64);
	case VALUE_BOOL:
		return a->boolean - b->boolean;
	case VALUE_DOUBLE:
		return (a->dbl > b->dbl) - (a->dbl < b->dbl);
	case VALUE_TEXT:
		return compare_bytes(a->text.s, a->text.len, b->text.s, b->text.len);
	case VALUE_BYTES:
		return compare_bytes(a->bytes.at, a->bytes.len, b->bytes.at, b->bytes.len);
	case VALUE_IP:
		return memcmp(&a->ip, &b->ip, sizeof(a->ip));
	}
	return 0;
}

struct sorting {
	const struct fold *fold;
	const struct fold_order *order;
};

static int compare_labels(const struct fold *f, const struct fold_row *a, const struct fold_row *b)
{
	int order = 0;

	for (size_t i = 0; !order && i < f->columns.label_count; i++)
		order = fold_compare(&a->labels[i], &b->labels[i]);
	return order;
}

/* Most first. */
static int compare_hists(const struct field *hist, const struct fold_order *order,
			 const struct fold_row *a, const struct fold_row *b)
{
	const uint64_t *a_slots = (order->by_total ? a->slots_total : a->slots)[order->nth];
	const uint64_t *b_slots = (order->by_total ? b->slots_total : b->slots)[order->nth];
	int by = 0;

	if (!order->by_count)
		by = compare_numbers(hist_percentile(&hist->hist, b_slots, 0.99),
				     hist_percentile(&hist->hist, a_slots, 0.99));
	if (!by)
		by = compare_numbers(fold_observations(hist, b_slots),
				     fold_observations(hist, a_slots));
	return by;
}

static bool has_no_ratio(const struct sorting *s, const struct fold_row *row)
{
	const struct fold_order *o = s->order;

	return o->what == FOLD_RATIO &&
	       fold_ratio_value(s->fold, row, o->nth, o->by_total).type == VALUE_NONE;
}

/* Most first. */
static int compare_ratios(const struct sorting *s, const struct fold_row *a,
			  const struct fold_row *b)
{
	const struct fold_order *o = s->order;
	struct value of_a = fold_ratio_value(s->fold, a, o->nth, o->by_total);
	struct value of_b = fold_ratio_value(s->fold, b, o->nth, o->by_total);

	return fold_compare(&of_b, &of_a);
}

static int compare_column(const struct sorting *s, const struct fold_row *a,
			  const struct fold_row *b)
{
	const struct fold_order *o = s->order;

	switch (o->what) {
	case FOLD_VALUE:
		return compare_numbers((o->by_total ? b->totals : b->deltas)[o->nth],
				       (o->by_total ? a->totals : a->deltas)[o->nth]);
	case FOLD_RATIO:
		return compare_ratios(s, a, b);
	case FOLD_HIST:
		return compare_hists(s->fold->columns.hists[o->nth], o, a, b);
	case FOLD_LABEL:
		return fold_compare(&a->labels[o->nth], &b->labels[o->nth]);
	}
	return 0;
}

static int compare_rows(const void *va, const void *vb, void *ctx)
{
	const struct sorting *s = ctx;
	const struct fold_row *a = va, *b = vb;
	int order;

	if (a->is_other != b->is_other)
		return a->is_other - b->is_other;
	if (has_no_ratio(s, a) != has_no_ratio(s, b))
		return has_no_ratio(s, a) - has_no_ratio(s, b);
	order = compare_column(s, a, b);
	if (s->order->reverse)
		order = -order;
	return order ? order : compare_labels(s->fold, a, b);
}

static bool any_word(const uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (words[i])
			return true;
	return false;
}

/* Cuts to the limit; the "other" row, which is last, moves up. Returns how many were cut. */
static size_t rows_cut(struct fold_row *rows, size_t limit, size_t *count)
{
	bool other = *count && rows[*count - 1].is_other;
	size_t cut;

	if (!limit || *count - other <= limit)
		return 0;
	cut = *count - other - limit;
	if (other)
		rows[limit] = rows[*count - 1];
	*count = limit + other;
	return cut;
}

const struct fold_row *fold_sorted(struct fold *f, const struct fold_order *order,
				   size_t *ret_count, size_t *ret_left_out)
{
	struct sorting sorting = { .fold = f, .order = order };
	size_t n = 0;

	if (f->sorted_cap < f->groups.len) {
		f->sorted_cap = f->groups.cap;
		f->sorted = xreallocarray(f->sorted, f->sorted_cap, sizeof(*f->sorted));
	}
	vec_for_each(g, &f->groups)
		if (any_word(order->only_active ? (*g)->added : (*g)->now, f->words) &&
		    (!order->keep || (*g)->row.is_other || order->keep(&(*g)->row, order->ctx)))
			f->sorted[n++] = (*g)->row;
	if (n)
		qsort_r(f->sorted, n, sizeof(*f->sorted), compare_rows, &sorting);
	*ret_left_out = rows_cut(f->sorted, order->limit, &n);
	*ret_count = n;
	return f->sorted;
}

/* All columns in a row: values, ratios, histograms, labels. */
static const struct field *column_nth(const struct fold_columns *c, size_t i, enum fold_what *what,
				      size_t *nth)
{
	const size_t counts[] = { [FOLD_VALUE] = c->value_count,
				  [FOLD_RATIO] = c->ratio_count,
				  [FOLD_HIST] = c->hist_count,
				  [FOLD_LABEL] = c->label_count };
	size_t k = 0;

	while (k < ARRAY_LEN(counts) && i >= counts[k])
		i -= counts[k++];
	*what = (enum fold_what)k;
	*nth = i;
	if (k == FOLD_VALUE)
		return c->values[i];
	if (k == FOLD_RATIO)
		return c->ratios[i].field;
	if (k == FOLD_HIST)
		return c->hists[i];
	return k == FOLD_LABEL ? c->labels[i] : NULL;
}

static const char *column_name(const void *ctx, size_t i)
{
	enum fold_what what;
	size_t nth;
	const struct field *f = column_nth(ctx, i, &what, &nth);

	return f ? f->name : NULL;
}

int fold_order_by(const struct fold *f, const char *column, struct fold_order *ret, struct err *e)
{
	struct fold_order order = { 0 };
	const struct field *field;

	for (size_t i = 0; (field = column_nth(&f->columns, i, &order.what, &order.nth)); i++)
		if (fold_field(field, 1, column)) {
			ret->what = order.what;
			ret->nth = order.nth;
			return 0;
		}
	return name_unknown("column", column, column_name, &f->columns, e);
}

uint64_t fold_observations(const struct field *hist, const uint64_t *slots)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < hist->count; i++)
		n += slots[i];
	return n;
}
