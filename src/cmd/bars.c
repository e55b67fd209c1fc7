/* SPDX-License-Identifier: BSD-2-Clause */
/* hist's screen: bars of a distribution. */
#include "cmd/reading.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "base/units.h"
#include "schema/kind.h"

enum {
	BAR_COLS = 40, /* where the width is not the terminal's */
	BAR_COLS_MIN = 8,
	BAR_OTHERS_COLS = 52, /* what stands before a bar, at most */
	EIGHTHS = 8,
};

/* Whole columns. */
static void bar_form_ascii(uint64_t part, uint64_t most, unsigned cols, struct strbuf *out)
{
	unsigned whole = (unsigned)((double)part / (double)most * cols);

	strbuf_pad(out, '#', part && !whole ? 1 : whole);
}

/* "▏" to "█", by eighths of a column. */
static void bar_form(uint64_t part, uint64_t most, unsigned cols, struct strbuf *out)
{
	static const char *const parts[EIGHTHS] = { "",       "\u258f", "\u258e", "\u258d",
						    "\u258c", "\u258b", "\u258a", "\u2589" };
	unsigned eighths = (unsigned)((double)part / (double)most * cols * EIGHTHS);

	if (part && !eighths)
		eighths = 1;
	for (unsigned i = 0; i < eighths / EIGHTHS; i++)
		strbuf_puts(out, "\u2588");
	strbuf_puts(out, parts[eighths % EIGHTHS]);
}

/* "≤1.02 µs" for the first slot, "1.02 µs - 2.05 µs", ">34.4 s" for the last. */
static void range_form(const struct reading *r, const struct field *hist, uint32_t slot,
		       struct strbuf *out)
{
	uint64_t upper = hist_upper(&hist->hist, slot);

	if (!slot) {
		strbuf_puts(out, r->ascii ? "<=" : "\u2264");
		reading_bound(hist, upper, out);
		return;
	}
	if (upper == UINT64_MAX)
		strbuf_putc(out, '>');
	reading_bound(hist, hist_upper(&hist->hist, slot - 1), out);
	if (upper != UINT64_MAX) {
		strbuf_puts(out, " - ");
		reading_bound(hist, upper, out);
	}
}

/* The slots from the first to the last that hold any. */
static void slots_used(const struct field *hist, const uint64_t *slots, uint32_t *ret_from,
		       uint32_t *ret_to)
{
	uint32_t from = 0, to = hist->count;

	while (from < to && !slots[from])
		from++;
	while (to > from && !slots[to - 1])
		to--;
	*ret_from = from;
	*ret_to = to;
}

static void percent_cell(struct table *t, uint64_t part, uint64_t whole)
{
	char text[UNIT_TEXT_MAX];

	table_cell(t, TERM_PLAIN, text, percent_format(text, part, whole));
}

static struct table *bars_table(const struct reading *r, const struct field *hist,
				struct strbuf *out)
{
	const struct table_col cols[] = {
		{ .title = hist->name, .align = TABLE_RIGHT, .min_cols = 20 },
		{ .title = "COUNT", .align = TABLE_RIGHT, .min_cols = 8 },
		{ .title = "SHARE", .align = TABLE_RIGHT, .min_cols = 6 },
		{ .title = "UP TO", .align = TABLE_RIGHT, .min_cols = 6 },
		{ .title = "" },
	};

	return table_new(cols, ARRAY_LEN(cols),
			 (struct table_style){ .width_cols = r->width_cols,
					       .settle_rows = 100000,
					       .colour = r->colour,
					       .no_header = r->no_header },
			 out);
}

static unsigned bar_cols(const struct reading *r)
{
	if (!r->width_cols)
		return BAR_COLS;
	return r->width_cols > BAR_OTHERS_COLS + BAR_COLS_MIN ? r->width_cols - BAR_OTHERS_COLS
							      : BAR_COLS_MIN;
}

static void bars_of(const struct reading *r, const struct field *hist, const uint64_t *slots,
		    struct strbuf *out)
{
	auto_ptr(table) t = bars_table(r, hist, out);
	auto_done(strbuf) cell = { 0 };
	uint64_t total = fold_observations(hist, slots), most = 1, below = 0;
	uint32_t from, to;

	slots_used(hist, slots, &from, &to);
	for (uint32_t i = from; i < to; i++)
		most = max(most, slots[i]);
	for (uint32_t i = from; i < to; i++) {
		below += slots[i];
		strbuf_reset(&cell);
		range_form(r, hist, i, &cell);
		table_str(t, strbuf_str(&cell));
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)slots[i]);
		percent_cell(t, slots[i], total);
		percent_cell(t, below, total);
		strbuf_reset(&cell);
		(r->ascii ? bar_form_ascii : bar_form)(slots[i], most, bar_cols(r), &cell);
		table_cell(t, TERM_CYAN, strbuf_str(&cell), cell.len);
		table_row_end(t);
	}
	table_settle(t);
}

/* " (>512 us)": a percentile is above the bound before its own. */
static void percentile_above(const struct field *hist, const uint64_t *slots, double fraction,
			     struct strbuf *out)
{
	uint64_t above = reading_percentile_above(hist, slots, fraction);

	if (!above || hist_percentile(&hist->hist, slots, fraction) == UINT64_MAX)
		return;
	strbuf_puts(out, " (>");
	reading_bound(hist, above, out);
	strbuf_putc(out, ')');
}

static void bars_summary(const struct reading *r, const struct field *hist, const uint64_t *slots,
			 uint64_t sum, struct strbuf *out)
{
	static const struct {
		const char *name;
		double fraction;
	} row[] = {
		{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1 }
	};
	uint64_t count = fold_observations(hist, slots);

	strbuf_appendf(out, "count %llu, mean ", (unsigned long long)count);
	reading_bound(hist, count ? sum / count : 0, out);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		strbuf_appendf(out, ", %s ", row[i].name);
		reading_percentile(r, hist, slots, row[i].fraction, out);
		percentile_above(hist, slots, row[i].fraction, out);
	}
	strbuf_putc(out, '\n');
}

static void bars_group(const struct reading *r, const struct fold_row *row, size_t nth,
		       struct strbuf *out)
{
	const struct field *hist = fold_columns(r->fold)->hists[nth];
	const uint64_t *slots = reading_slots(r, row, nth);
	size_t at = out->len;

	if (!fold_observations(hist, slots))
		return;
	strbuf_putc(out, '\n');
	reading_labels(r, row, out);
	if (out->len > at + 1)
		strbuf_putc(out, '\n');
	bars_of(r, hist, slots, out);
	bars_summary(r, hist, slots, (r->whole ? row->sums_total : row->sums)[nth], out);
}

void reading_bars(const struct reading *r, struct strbuf *out)
{
	const struct fold_columns *c = fold_columns(r->fold);
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	if (!r->no_header)
		reading_title(r, out);
	for (size_t i = 0; i < count; i++)
		for (size_t nth = 0; nth < c->hist_count; nth++)
			bars_group(r, &rows[i], nth, out);
	if (count && !r->no_header)
		strbuf_puts(
			out,
			"\n(a percentile lies in its bar: up to the bound, above the one before)\n");
	if (!count)
		strbuf_puts(out, "nothing was counted\n");
	if (left_out)
		strbuf_appendf(out, "... %zu more (--limit)\n", left_out);
}
