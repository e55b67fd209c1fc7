/* SPDX-License-Identifier: BSD-2-Clause */
/* top's screen: a line a group; labels, rates and totals of counters, percentiles of histograms. */
#include "cmd/reading.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "base/units.h"
#include "base/vec.h"
#include "schema/kind.h"
#include "sink/columns.h"

/* Behind the title of the column sorted by. */
static const char *sorted_mark(const struct reading *r)
{
	if (r->ascii)
		return r->order.reverse ? "^" : "*";
	return r->order.reverse ? "\u25b2" : "\u25bc";
}

static const struct {
	const char *suffix;
	double fraction;
} shown_percentiles[] = { { "-P50", 0.5 }, { "-P99", 0.99 }, { "-MAX", 1 } };

enum { SORTED_PERCENTILE = 1 };

struct columns_made {
	vec(struct table_col) at;
};

/* Is it the nth column of that sort that the rows are sorted by? */
static bool is_sorted(const struct reading *r, enum fold_what what, size_t nth)
{
	return r->order.what == what && r->order.nth == nth;
}

/* Hidden ones are shown when the rows are sorted by them; all are in JSON and CSV. */
static bool is_shown(const struct reading *r, enum fold_what what, size_t nth,
		     const struct field *f)
{
	return !(f->flags & FIELD_HIDE) || is_sorted(r, what, nth);
}

static void column_add(struct columns_made *c, const struct field *f, const char *suffix,
		       bool is_label, const char *mark)
{
	auto_free char *title = columns_title(f->name, f);
	struct table_col *col = vec_add(&c->at);
	bool right = !is_label || f->kind->right_aligned;

	col->title = xasprintf("%s%s%s", title, suffix, mark);
	col->align = right ? TABLE_RIGHT : TABLE_LEFT;
	col->min_cols = is_label && !right ? min(f->kind->min_cols, 16u) : 0;
}

static struct table *ranking_table(const struct reading *r, struct strbuf *out)
{
	const struct fold_columns *c = fold_columns(r->fold);
	struct columns_made made = { 0 };
	const char *mark = sorted_mark(r);
	struct table *t;

	for (size_t i = 0; i < c->label_count; i++)
		if (!reading_is_told(c, c->labels[i]))
			column_add(&made, c->labels[i], "", true,
				   is_sorted(r, FOLD_LABEL, i) ? mark : "");
	for (size_t i = 0; i < c->value_count; i++) {
		bool sorted = is_sorted(r, FOLD_VALUE, i);
		bool rate = !(c->values[i]->flags & FIELD_GAUGE);

		if (!is_shown(r, FOLD_VALUE, i, c->values[i]))
			continue;
		if (rate)
			column_add(&made, c->values[i], "/S", false,
				   sorted && !r->order.by_total ? mark : "");
		column_add(&made, c->values[i], "", false,
			   sorted && (r->order.by_total || !rate) ? mark : "");
	}
	for (size_t i = 0; i < c->hist_count; i++) {
		if (!is_shown(r, FOLD_HIST, i, c->hists[i]))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(shown_percentiles); k++)
			column_add(&made, c->hists[i], shown_percentiles[k].suffix, false,
				   k == SORTED_PERCENTILE && is_sorted(r, FOLD_HIST, i) ? mark
											: "");
	}
	if (!made.at.len) /* grouped by nothing, and no values */
		vec_add(&made.at)->title = xstrdup("");
	t = table_new(made.at.at, made.at.len,
		      (struct table_style){ .width_cols = r->width_cols,
					    .settle_rows = 100000,
					    .colour = r->colour,
					    .no_header = r->no_header },
		      out);
	vec_for_each(col, &made.at)
		free((char *)(uintptr_t)col->title);
	vec_done(&made.at);
	return t;
}

/* So many in the interval, for a second: "12.5k", "1.2 MiB", "340 ms". */
static void rate_form(const struct field *f, uint64_t delta, uint64_t interval_ns,
		      struct strbuf *out)
{
	char text[UNIT_TEXT_MAX];
	size_t len;

	if (!interval_ns) {
		strbuf_putc(out, '-');
	} else if (!delta) {
		strbuf_putc(out, '0');
	} else if (f->unit[0]) {
		value_text_form(out, f,
				value_u64((uint64_t)((double)delta * 1e9 / (double)interval_ns)));
	} else {
		len = rate_format(text, delta, interval_ns);
		strbuf_append(out, text, len > 2 ? len - 2 : len); /* without "/s" */
	}
}

static void cell_form(struct table *t, struct strbuf *cell, enum term_style style)
{
	table_cell(t, style, strbuf_str(cell), cell->len);
	strbuf_reset(cell);
}

static void ranking_labels(const struct reading *r, const struct fold_row *row, const char *name,
			   struct table *t, struct strbuf *cell)
{
	const struct fold_columns *c = fold_columns(r->fold);

	for (size_t i = 0; i < c->label_count; i++) {
		if (reading_is_told(c, c->labels[i]))
			continue;
		if (name)
			strbuf_puts(cell, name);
		else
			reading_label(c, row, i, cell);
		cell_form(t, cell,
			  name || row->labels[i].type == VALUE_NONE ? TERM_DIM : TERM_PLAIN);
		name = name ? "" : NULL;
	}
}

/* `name`: of a row that is no group: "other", "total"; else NULL. */
static void ranking_row(const struct reading *r, const struct fold_row *row, const char *name,
			struct table *t, struct strbuf *cell)
{
	const struct fold_columns *c = fold_columns(r->fold);
	const uint64_t *added = r->whole ? row->totals : row->deltas;

	ranking_labels(r, row, name, t, cell);
	for (size_t i = 0; i < c->value_count; i++) {
		const struct field *f = c->values[i];

		if (!is_shown(r, FOLD_VALUE, i, f))
			continue;
		if (!(f->flags & FIELD_GAUGE)) {
			rate_form(f, added[i], reading_span_ns(r), cell);
			cell_form(t, cell, added[i] ? TERM_BOLD : TERM_DIM);
		}
		value_text_form(cell, f, value_u64(row->totals[i]));
		cell_form(t, cell, TERM_PLAIN);
	}
	for (size_t i = 0; i < c->hist_count; i++) {
		if (!is_shown(r, FOLD_HIST, i, c->hists[i]))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(shown_percentiles); k++) {
			reading_percentile(r, c->hists[i], reading_slots(r, row, i),
					   shown_percentiles[k].fraction, cell);
			cell_form(t, cell, TERM_PLAIN);
		}
	}
	table_row_end(t);
}

void reading_ranking(const struct reading *r, struct strbuf *out)
{
	auto_done(strbuf) cell = { 0 };
	auto_ptr(table) t = ranking_table(r, out);
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	if (!r->no_header)
		reading_title(r, out);
	for (size_t i = 0; i < count; i++)
		ranking_row(r, &rows[i], rows[i].is_other ? "other" : NULL, t, &cell);
	if (count > 1 && fold_columns(r->fold)->label_count)
		ranking_row(r, fold_total(r->fold, &r->order), "total", t, &cell);
	table_settle(t);
	if (left_out)
		strbuf_appendf(out, "... %zu more (--limit)\n", left_out);
}
