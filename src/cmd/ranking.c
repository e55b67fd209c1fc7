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

enum { LABEL_COLS = 16, NUMBER_COLS = 8, GAP_COLS = 2 };

/* What a column says of its field. */
enum form {
	FORM_LABEL,
	FORM_RATE,
	FORM_TOTAL,
	FORM_RATIO,
	FORM_P50,
	FORM_P99,
	FORM_MAX,
	FORM_COUNT
};

static const struct {
	const char *suffix; /* of the title */
	double fraction;    /* of a percentile */
	/* On a terminal that is too narrow for all, forms go in this order; 0: stays. */
	unsigned goes;
} forms[FORM_COUNT] = {
	[FORM_LABEL] = { "", 0, 0 },     [FORM_RATE] = { "/S", 0, 0 },
	[FORM_TOTAL] = { "", 0, 3 },     [FORM_RATIO] = { "-RATIO", 0, 4 },
	[FORM_P50] = { "-P50", 0.5, 2 }, [FORM_P99] = { "-P99", 0.99, 0 },
	[FORM_MAX] = { "-MAX", 1, 1 },
};
enum { GOES_LAST = 4 };

struct shown {
	const struct field *field;
	enum form form;
	size_t nth; /* of the labels, values or histograms */
	bool sorted;
	char *title;
	unsigned cols; /* usual width, for what fits */
};

struct ranking {
	const struct reading *r;
	vec(struct shown) columns;
	struct table *table;
	struct strbuf cell;
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

/* Behind the title of the column sorted by. */
static const char *sorted_mark(const struct reading *r)
{
	if (r->ascii)
		return r->order.reverse ? "^" : "*";
	return r->order.reverse ? "\u25b2" : "\u25bc";
}

static bool is_left(const struct shown *s)
{
	return s->form == FORM_LABEL && !s->field->kind->right_aligned;
}

static void column_add(struct ranking *k, const struct field *f, enum form form, size_t nth,
		       bool sorted)
{
	struct shown *s = vec_add(&k->columns);

	s->field = f;
	s->form = form;
	s->nth = nth;
	s->sorted = sorted;
}

static bool has_suffix(const struct shown *s)
{
	return s->form >= FORM_RATIO;
}

/* Units are left out, unless two would be called the same. */
static void column_entitle(const struct ranking *k, struct shown *s)
{
	size_t len = columns_name_len(s->field->name, s->field);
	auto_free char *name = NULL;

	vec_for_each(other, &k->columns)
		if (has_suffix(s) == has_suffix(other) && columns_collide(s->field, other->field))
			len = strlen(s->field->name);
	name = columns_title(s->field->name, len);
	s->title = xasprintf("%s%s%s", name, forms[s->form].suffix,
			     s->sorted ? sorted_mark(k->r) : "");
	s->cols = max(utf8_width(s->title, strlen(s->title)),
		      is_left(s) ? LABEL_COLS : (unsigned)NUMBER_COLS);
}

/* Stacks stand below their row. */
static bool is_stack(const struct field *label)
{
	return label->kind->class == CLASS_STACK;
}

static size_t stack_count(const struct fold_columns *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->label_count; i++)
		count += is_stack(c->labels[i]);
	return count;
}

static void columns_list(struct ranking *k)
{
	const struct reading *r = k->r;
	const struct fold_columns *c = fold_columns(r->fold);

	for (size_t i = 0; i < c->label_count; i++)
		if (!reading_is_told(c, c->labels[i]) && !is_stack(c->labels[i]))
			column_add(k, c->labels[i], FORM_LABEL, i, is_sorted(r, FOLD_LABEL, i));
	for (size_t i = 0; i < c->value_count; i++) {
		bool sorted = is_sorted(r, FOLD_VALUE, i);
		bool rate = !(c->values[i]->flags & FIELD_GAUGE);

		if (!is_shown(r, FOLD_VALUE, i, c->values[i]))
			continue;
		if (rate)
			column_add(k, c->values[i], FORM_RATE, i, sorted && !r->order.by_total);
		column_add(k, c->values[i], FORM_TOTAL, i, sorted && (r->order.by_total || !rate));
	}
	for (size_t i = 0; i < c->ratio_count; i++)
		if (is_shown(r, FOLD_RATIO, i, c->ratios[i].field))
			column_add(k, c->ratios[i].field, FORM_RATIO, i,
				   is_sorted(r, FOLD_RATIO, i));
	for (size_t i = 0; i < c->hist_count; i++)
		for (enum form form = FORM_P50; form <= FORM_MAX; form++)
			if (is_shown(r, FOLD_HIST, i, c->hists[i]))
				column_add(k, c->hists[i], form, i,
					   form == FORM_P99 && is_sorted(r, FOLD_HIST, i));
	vec_for_each(s, &k->columns)
		column_entitle(k, s);
}

static bool columns_fit(const struct ranking *k)
{
	unsigned cols = 0;

	vec_for_each(s, &k->columns)
		cols += s->cols + GAP_COLS;
	return !k->r->width_cols || cols <= k->r->width_cols + GAP_COLS;
}

/* Gauges have nothing but their total; what is sorted by stays. */
static bool may_go(const struct shown *s, unsigned goes)
{
	bool gauge = s->form == FORM_TOTAL && s->field->flags & FIELD_GAUGE;

	return forms[s->form].goes == goes && !s->sorted && !gauge;
}

static void columns_narrow(struct ranking *k)
{
	for (unsigned goes = 1; goes <= GOES_LAST && !columns_fit(k); goes++) {
		size_t kept = 0;

		for (size_t i = 0; i < k->columns.len; i++) {
			if (may_go(&k->columns.at[i], goes))
				free(k->columns.at[i].title);
			else
				k->columns.at[kept++] = k->columns.at[i];
		}
		k->columns.len = kept;
	}
}

static void ranking_begin(struct ranking *k, struct strbuf *out)
{
	vec(struct table_col) cols = { 0 };

	columns_list(k);
	columns_narrow(k);
	vec_for_each(s, &k->columns) {
		struct table_col *col = vec_add(&cols);

		col->title = s->title;
		col->align = is_left(s) ? TABLE_LEFT : TABLE_RIGHT;
		col->keep_end = is_left(s) && str_eq(s->field->kind->name, "path");
		col->min_cols =
			is_left(s) ? min(s->field->kind->min_cols, (unsigned)LABEL_COLS) : 0;
	}
	if (!cols.len) /* grouped by nothing, and no values */
		vec_add(&cols)->title = "";
	k->table = table_new(cols.at, cols.len,
			     (struct table_style){ .width_cols = k->r->width_cols,
						   .settle_rows = 100000,
						   .colour = k->r->colour,
						   .no_header = k->r->no_header },
			     out);
	vec_done(&cols);
}

static void ranking_end(struct ranking *k)
{
	vec_for_each(s, &k->columns)
		free(s->title);
	vec_done(&k->columns);
	table_free(k->table);
	strbuf_done(&k->cell);
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

static bool ratio_of_totals(const struct reading *r)
{
	return r->whole || r->order.by_total;
}

/* Forms the cell and says in which style. */
static enum term_style value_form(struct ranking *k, const struct shown *s,
				  const struct fold_row *row)
{
	const struct reading *r = k->r;
	uint64_t added;

	if (s->form == FORM_RATE) {
		added = (r->whole ? row->totals : row->deltas)[s->nth];
		rate_form(s->field, added, reading_span_ns(r), &k->cell);
		return added ? TERM_BOLD : TERM_DIM;
	}
	if (s->form == FORM_RATIO)
		value_text_form(&k->cell, s->field,
				fold_ratio_value(r->fold, row, s->nth, ratio_of_totals(r)));
	else if (s->form == FORM_TOTAL)
		value_text_form(&k->cell, s->field, reading_value(s->field, row->totals[s->nth]));
	else
		reading_percentile(r, s->field, reading_slots(r, row, s->nth),
				   forms[s->form].fraction, &k->cell);
	return TERM_PLAIN;
}

static enum term_style label_form(struct ranking *k, const struct shown *s,
				  const struct fold_row *row)
{
	reading_label(fold_columns(k->r->fold), row, s->nth, &k->cell);
	return row->labels[s->nth].type == VALUE_NONE ? TERM_DIM : TERM_PLAIN;
}

/* `name`: in the first column of a row that is no group: "other", "total"; else NULL. */
static void ranking_row(struct ranking *k, const struct fold_row *row, const char *name)
{
	vec_for_each(s, &k->columns) {
		enum term_style style = TERM_DIM;

		strbuf_reset(&k->cell);
		if (s->form != FORM_LABEL)
			style = value_form(k, s, row);
		else if (!name)
			style = label_form(k, s, row);
		else if (s == k->columns.at)
			strbuf_puts(&k->cell, name);
		table_cell(k->table, style, strbuf_str(&k->cell), k->cell.len);
	}
	table_row_end(k->table);
}

/* A line for each stack of a group, as wide as the terminal. `row` NULL: the totals. */
static void stacks_form(const struct reading *r, const struct fold_row *row, struct strbuf *cell,
			struct strbuf *out)
{
	const struct fold_columns *c = fold_columns(r->fold);

	for (size_t i = 0; row && !row->is_other && i < c->label_count; i++) {
		if (!is_stack(c->labels[i]) || row->labels[i].type == VALUE_NONE)
			continue;
		strbuf_reset(cell);
		strbuf_appendf(cell, "    %s  ", c->labels[i]->name);
		value_text_form(cell, c->labels[i], row->labels[i]);
		if (r->width_cols && cell->len > r->width_cols) {
			strbuf_cut(cell, r->width_cols - 1);
			strbuf_puts(cell, r->ascii ? "~" : "\u2026");
		}
		text_escape(out, strbuf_str(cell), cell->len);
		strbuf_putc(out, '\n');
	}
	if ((!row || row->is_other) && stack_count(c) == c->label_count) /* no column says it */
		strbuf_appendf(out, "    %s\n", row ? "other" : "total");
}

/* The lines of the table, and below each the stacks of its group. */
static void lines_with_stacks(const struct reading *r, const struct fold_row *rows, size_t count,
			      const struct strbuf *table, struct strbuf *out)
{
	auto_done(strbuf) cell = { 0 };
	const char *line = strbuf_str(table), *end;
	size_t nth = r->no_header ? 1 : 0; /* 0: the header */

	for (; *line; line = end + (*end == '\n'), nth++) {
		end = strchrnul(line, '\n');
		strbuf_append(out, line, (size_t)(end - line));
		strbuf_putc(out, '\n');
		if (nth)
			stacks_form(r, nth <= count ? &rows[nth - 1] : NULL, &cell, out);
	}
}

void reading_ranking(const struct reading *r, struct strbuf *out)
{
	auto_done(strbuf) lines = { 0 };
	struct ranking k = { .r = r };
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	ranking_begin(&k, &lines);
	if (!r->no_header)
		reading_title(r, out);
	for (size_t i = 0; i < count; i++)
		ranking_row(&k, &rows[i], rows[i].is_other ? "other" : NULL);
	if (count > 1 && fold_columns(r->fold)->label_count)
		ranking_row(&k, fold_total(r->fold, &r->order), "total");
	table_settle(k.table);
	ranking_end(&k);
	if (stack_count(fold_columns(r->fold)))
		lines_with_stacks(r, rows, count, &lines, out);
	else
		strbuf_append(out, strbuf_str(&lines), lines.len);
	if (left_out)
		strbuf_appendf(out, "... %zu more (--limit)\n", left_out);
}
