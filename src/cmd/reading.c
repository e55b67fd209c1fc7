/* SPDX-License-Identifier: BSD-2-Clause */
/* Readings: what all forms share, and those for programs. */
#include "cmd/reading.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/units.h"
#include "schema/kind.h"
#include "base/term.h"
#include "enrich/enrich.h"
#include "sink/csv.h"

static const struct {
	const char *name;
	double fraction;
} percentiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 }, { "max", 1 }
};

bool reading_is_told(const struct fold_columns *c, const struct field *label)
{
	bool replaces = false;
	const char *note = enrich_label_note(label, &replaces);

	for (size_t i = c->key_count; note && replaces && i < c->label_count; i++)
		if (str_eq(c->labels[i]->name, note))
			return true;
	return false;
}

/* The label that the nth, a note, speaks of; NULL. */
static const struct value *label_behind(const struct fold_columns *c, const struct fold_row *row,
					size_t nth, const struct field **ret)
{
	bool replaces = false;

	for (size_t i = 0; nth >= c->key_count && i < c->key_count; i++) {
		const char *note = enrich_label_note(c->labels[i], &replaces);

		if (!note || !replaces || !str_eq(note, c->labels[nth]->name))
			continue;
		*ret = c->labels[i];
		return &row->labels[i];
	}
	return NULL;
}

void reading_label(const struct fold_columns *c, const struct fold_row *row, size_t nth,
		   struct strbuf *out)
{
	const struct field *f = c->labels[nth];
	const struct value *v = NULL;

	if (row->labels[nth].type == VALUE_NONE)
		v = label_behind(c, row, nth, &f);
	value_text_form(out, f, v ? *v : row->labels[nth]);
}

static bool row_passes(const struct fold_row *row, void *ctx)
{
	const struct reading *r = ctx;
	const struct fold_columns *c = fold_columns(r->fold);
	auto_done(strbuf) text = { 0 };

	for (size_t i = 0; i < c->label_count; i++) {
		strbuf_reset(&text);
		reading_label(c, row, i, &text);
		if (strcasestr(strbuf_str(&text), r->filter))
			return true;
	}
	return false;
}

void reading_narrow(struct reading *r)
{
	r->order.keep = r->filter && *r->filter ? row_passes : NULL;
	r->order.ctx = r;
}

void reading_title(const struct reading *r, struct strbuf *out)
{
	char local[WALL_LOCAL_LEN + 1], took[UNIT_TEXT_MAX];

	wall_local(r->wall, fold_at_ns(r->fold), local);
	duration_format(took, reading_span_ns(r));
	strbuf_appendf(out, "%s%s  ", r->colour ? term_style_on(TERM_BOLD) : "", local);
	if (r->title)
		strbuf_appendf(out, "%s: %s", r->title, r->probe);
	else
		strbuf_appendf(out, "%s %s", r->probe, r->table);
	strbuf_appendf(out, ", %s%s%s\n", took, r->note ?: "",
		       r->colour ? term_style_off(TERM_BOLD) : "");
}

void reading_labels(const struct reading *r, const struct fold_row *row, struct strbuf *out)
{
	const struct fold_columns *c = fold_columns(r->fold);
	const char *separator = "";

	if (row->is_other) {
		strbuf_puts(out, "other");
		return;
	}
	for (size_t i = 0; i < c->label_count; i++) {
		if (reading_is_told(c, c->labels[i]))
			continue;
		strbuf_appendf(out, "%s%s ", separator, c->labels[i]->name);
		reading_label(c, row, i, out);
		separator = ", ";
	}
}

void reading_bound(const struct field *hist, uint64_t bound, struct strbuf *out)
{
	value_text_form(out, hist, value_u64(bound));
}

uint64_t reading_percentile_above(const struct field *hist, const uint64_t *slots, double fraction)
{
	uint64_t bound = hist_percentile(&hist->hist, slots, fraction);
	uint64_t below = 0;

	for (uint32_t i = 0; i < hist->count && hist_upper(&hist->hist, i) < bound; i++)
		below = hist_upper(&hist->hist, i);
	return below;
}

void reading_percentile(const struct reading *r, const struct field *hist, const uint64_t *slots,
			double fraction, struct strbuf *out)
{
	uint64_t bound = hist_percentile(&hist->hist, slots, fraction);

	if (!fold_observations(hist, slots)) {
		strbuf_putc(out, '-');
	} else if (bound == UINT64_MAX) {
		strbuf_putc(out, '>');
		reading_bound(hist, hist_upper(&hist->hist, hist->count - 2), out);
	} else {
		strbuf_puts(out, r->ascii ? "<=" : "\u2264");
		reading_bound(hist, bound, out);
	}
}

/* ---- JSON ---- */

static void json_bound(struct json *j, uint64_t bound)
{
	if (bound == UINT64_MAX)
		json_null(j); /* no bound */
	else
		json_u64(j, bound);
}

/* Whole counts: [[upper bound, count] ...] of the slots that hold any. */
static void json_hist(struct json *j, const struct field *hist, uint64_t sum, const uint64_t *slots)
{
	json_obj_begin(j);
	json_key(j, "sum");
	json_u64(j, sum);
	json_key(j, "count");
	json_u64(j, fold_observations(hist, slots));
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++) {
		auto_free char *above = xasprintf("%s_above", percentiles[i].name);

		json_key(j, percentiles[i].name);
		json_bound(j, hist_percentile(&hist->hist, slots, percentiles[i].fraction));
		json_key(j, above);
		json_u64(j, reading_percentile_above(hist, slots, percentiles[i].fraction));
	}
	json_key(j, "buckets");
	json_arr_begin(j);
	for (uint32_t i = 0; i < hist->count; i++) {
		if (!slots[i])
			continue;
		json_arr_begin(j);
		json_bound(j, hist_upper(&hist->hist, i));
		json_u64(j, slots[i]);
		json_arr_end(j);
	}
	json_arr_end(j);
	json_obj_end(j);
}

static void json_key_delta(struct json *j, const char *name)
{
	auto_free char *key = xasprintf("%s_delta", name);

	json_key(j, key);
}

static void json_group(const struct reading *r, const struct fold_row *row, struct json *j)
{
	const struct fold_columns *c = fold_columns(r->fold);

	if (row->is_other) {
		json_key(j, "other");
		json_bool(j, true);
	}
	for (size_t i = 0; i < c->label_count; i++) {
		json_key(j, c->labels[i]->name);
		value_json_form(j, c->labels[i], row->labels[i]);
	}
	for (size_t i = 0; i < c->value_count; i++) {
		json_key(j, c->values[i]->name);
		if (c->values[i]->is_signed)
			json_s64(j, (int64_t)row->totals[i]);
		else
			json_u64(j, row->totals[i]);
		if (c->values[i]->flags & FIELD_GAUGE)
			continue;
		json_key_delta(j, c->values[i]->name);
		json_u64(j, row->deltas[i]);
	}
	for (size_t i = 0; i < c->ratio_count; i++) {
		const struct field *f = c->ratios[i].field;

		json_key(j, f->name);
		value_json_form(j, f, fold_ratio_value(r->fold, row, i, true));
		json_key_delta(j, f->name);
		value_json_form(j, f, fold_ratio_value(r->fold, row, i, false));
	}
	for (size_t i = 0; i < c->hist_count; i++) {
		json_key(j, c->hists[i]->name);
		json_hist(j, c->hists[i], row->sums_total[i], row->slots_total[i]);
		json_key_delta(j, c->hists[i]->name);
		json_hist(j, c->hists[i], row->sums[i], row->slots[i]);
	}
}

void reading_json(const struct reading *r, struct strbuf *out)
{
	struct json j = { .out = out };
	char utc[WALL_UTC_LEN + 1];
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	wall_utc(r->wall, fold_at_ns(r->fold), utc);
	for (size_t i = 0; i < count; i++) {
		json_obj_begin(&j);
		json_key(&j, "time");
		json_str(&j, utc);
		json_key(&j, "probe");
		json_str(&j, r->probe);
		json_key(&j, "table");
		json_str(&j, r->table);
		json_key(&j, "interval_ns");
		json_u64(&j, fold_interval_ns(r->fold));
		json_group(r, &rows[i], &j);
		json_obj_end(&j);
		json_line_end(&j);
	}
}

/* ---- CSV ---- */

static void csv_header(const struct fold_columns *c, struct strbuf *out)
{
	strbuf_puts(out, "time,probe,table,interval_ns");
	for (size_t i = 0; i < c->label_count; i++)
		strbuf_appendf(out, ",%s", c->labels[i]->name);
	for (size_t i = 0; i < c->value_count; i++) {
		strbuf_appendf(out, ",%s", c->values[i]->name);
		if (!(c->values[i]->flags & FIELD_GAUGE))
			strbuf_appendf(out, ",%s_delta", c->values[i]->name);
	}
	for (size_t i = 0; i < c->ratio_count; i++) {
		const char *name = c->ratios[i].field->name;

		strbuf_appendf(out, ",%s,%s_delta", name, name);
	}
	for (size_t i = 0; i < c->hist_count; i++) {
		const char *name = c->hists[i]->name;

		strbuf_appendf(out, ",%s_sum,%s_count", name, name);
		for (size_t k = 0; k < ARRAY_LEN(percentiles); k++)
			strbuf_appendf(out, ",%s_%s", name, percentiles[k].name);
	}
	strbuf_putc(out, '\n');
}

static void csv_number(struct strbuf *out, uint64_t n)
{
	strbuf_putc(out, ',');
	strbuf_u64(out, n);
}

static void csv_group(const struct reading *r, const struct fold_row *row, struct strbuf *out)
{
	auto_done(strbuf) scratch = { 0 };
	const struct fold_columns *c = fold_columns(r->fold);

	for (size_t i = 0; i < c->label_count; i++) {
		strbuf_putc(out, ',');
		if (row->is_other)
			strbuf_puts(out, i ? "" : "other");
		else
			csv_value(out, &scratch, c->labels[i], row->labels[i]);
	}
	for (size_t i = 0; i < c->value_count; i++) {
		if (c->values[i]->is_signed) {
			strbuf_putc(out, ',');
			strbuf_s64(out, (int64_t)row->totals[i]);
		} else {
			csv_number(out, row->totals[i]);
		}
		if (!(c->values[i]->flags & FIELD_GAUGE))
			csv_number(out, row->deltas[i]);
	}
	for (size_t i = 0; i < 2 * c->ratio_count; i++) {
		strbuf_putc(out, ',');
		csv_value(out, &scratch, c->ratios[i / 2].field,
			  fold_ratio_value(r->fold, row, i / 2, i % 2 == 0));
	}
	for (size_t i = 0; i < c->hist_count; i++) {
		const struct field *hist = c->hists[i];
		const uint64_t *slots = row->slots_total[i];

		csv_number(out, row->sums_total[i]);
		csv_number(out, fold_observations(hist, slots));
		for (size_t k = 0; k < ARRAY_LEN(percentiles); k++) {
			uint64_t bound =
				hist_percentile(&hist->hist, slots, percentiles[k].fraction);

			strbuf_putc(out, ',');
			if (bound != UINT64_MAX)
				strbuf_u64(out, bound);
		}
	}
}

void reading_csv(const struct reading *r, bool header, struct strbuf *out)
{
	char utc[WALL_UTC_LEN + 1];
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	wall_utc(r->wall, fold_at_ns(r->fold), utc);
	if (header)
		csv_header(fold_columns(r->fold), out);
	for (size_t i = 0; i < count; i++) {
		strbuf_appendf(out, "%s,%s,%s", utc, r->probe, r->table);
		csv_number(out, fold_interval_ns(r->fold));
		csv_group(r, &rows[i], out);
		strbuf_putc(out, '\n');
	}
}
