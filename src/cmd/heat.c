/* SPDX-License-Identifier: BSD-2-Clause */
/* Heat maps over time. */
#include "cmd/heat.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/term.h"
#include "base/units.h"
#include "base/vec.h"
#include "schema/kind.h"

enum {
	HISTORY = 256,      /* readings kept */
	LEVELS = 4,         /* shades of what is not empty */
	LINE_SLOT_COLS = 2, /* a slot's columns where time runs down */
	LINE_OTHERS_COLS = 40,
	MARK_SLOTS = 4,      /* a bound above every such many */
	MAP_BOUND_COLS = 12, /* before a row where time runs across */
	MAP_COLS = 60,       /* where there is no terminal */
	MAP_LINES_OTHER = 4, /* of a map, besides its rows */
	MAP_ROWS_MIN = 4,
};

/* One histogram of one group. */
struct track {
	char *labels;
	const struct field *hist;
	size_t nth;       /* of the histograms */
	uint64_t *counts; /* HISTORY rows of hist->count */
	uint64_t most;    /* in one cell, ever */
	uint64_t taken;   /* number of the last reading that had it */
};

struct heat {
	vec(struct track) tracks;
	uint64_t at_ns[HISTORY];
	uint64_t readings;
	unsigned told_bits; /* of the most in a cell, when the legend was printed last */
};

struct heat *heat_new(void)
{
	return xnew(struct heat);
}

void heat_free(struct heat *h)
{
	if (!h)
		return;
	vec_for_each(t, &h->tracks) {
		free(t->labels);
		free(t->counts);
	}
	vec_done(&h->tracks);
	free(h);
}

/* Counts of the reading that was `ago` readings before the last. */
static uint64_t *track_row(const struct heat *h, const struct track *t, uint64_t ago)
{
	return t->counts + (h->readings - 1 - ago) % HISTORY * t->hist->count;
}

static struct track *track_of(struct heat *h, const struct reading *r, const struct fold_row *row,
			      size_t nth)
{
	const struct field *hist = fold_columns(r->fold)->hists[nth];
	auto_done(strbuf) labels = { 0 };
	struct track *t;

	reading_labels(r, row, &labels);
	vec_for_each(known, &h->tracks)
		if (known->nth == nth && str_eq(known->labels, strbuf_str(&labels)))
			return known;
	t = vec_add(&h->tracks);
	t->labels = xstrdup(strbuf_str(&labels));
	t->hist = hist;
	t->nth = nth;
	t->counts = xcalloc((size_t)HISTORY * hist->count, sizeof(*t->counts));
	return t;
}

static void track_take(struct heat *h, struct track *t, const uint64_t *slots)
{
	uint64_t *to = track_row(h, t, 0);

	for (uint32_t i = 0; i < t->hist->count; i++) {
		to[i] = slots[i];
		t->most = max(t->most, slots[i]);
	}
	t->taken = h->readings;
}

void heat_take(struct heat *h, struct reading *r)
{
	const struct fold_columns *c = fold_columns(r->fold);
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	h->at_ns[h->readings++ % HISTORY] = fold_at_ns(r->fold);
	vec_for_each(t, &h->tracks)
		memset(track_row(h, t, 0), 0, t->hist->count * sizeof(*t->counts));
	for (size_t i = 0; i < count; i++)
		for (size_t nth = 0; nth < c->hist_count; nth++)
			if (!c->label_count || fold_observations(c->hists[nth], rows[i].slots[nth]))
				track_take(h, track_of(h, r, &rows[i], nth), rows[i].slots[nth]);
}

/* ---- shades ---- */

static const struct shade {
	const char *text, *ascii;
	enum term_style style;
} shades[LEVELS + 1] = {
	{ " ", " ", TERM_PLAIN },       { "\u2591", ".", TERM_BLUE }, { "\u2592", ":", TERM_CYAN },
	{ "\u2593", "*", TERM_YELLOW }, { "\u2588", "#", TERM_RED },
};

static unsigned bits_of(uint64_t n)
{
	return n ? 64 - (unsigned)__builtin_clzll(n) : 0;
}

/* 0 for nothing, LEVELS for the most. */
static unsigned level_of(uint64_t count, uint64_t most)
{
	unsigned whole = bits_of(max(most, count));

	return count ? (bits_of(count) * LEVELS + whole - 1) / whole : 0;
}

/* The least count of a level from 1. */
static uint64_t level_least(unsigned level, uint64_t most)
{
	return 1ULL << ((level - 1) * bits_of(most) / LEVELS);
}

static void shade_form(const struct reading *r, uint64_t count, uint64_t most, unsigned cols,
		       struct strbuf *out)
{
	const struct shade *shade = &shades[level_of(count, most)];

	strbuf_puts(out, r->colour && count ? term_style_on(shade->style) : "");
	for (unsigned i = 0; i < cols; i++)
		strbuf_puts(out, r->ascii ? shade->ascii : shade->text);
	strbuf_puts(out, r->colour && count ? term_style_off(shade->style) : "");
}

/* "░ 1+  ▒ 4+ ...": levels that can't be (there is too little between) are left out. */
static void legend_form(const struct reading *r, uint64_t most, struct strbuf *out)
{
	char number[UNIT_TEXT_MAX];

	for (unsigned level = 1; level <= LEVELS && most; level++) {
		uint64_t least = level_least(level, most);

		if (level_of(least, most) != level)
			continue;
		number_format(number, least);
		strbuf_puts(out, "  ");
		shade_form(r, least, most, 1, out);
		strbuf_appendf(out, " %s+", number);
	}
}

/* ---- time runs down ---- */

/* How many slots share a column, so that a line fits. */
static uint32_t line_merged(const struct reading *r, const struct field *hist)
{
	uint32_t merged = 1, room;

	if (!r->width_cols)
		return 1;
	room = (r->width_cols > LINE_OTHERS_COLS ? r->width_cols - LINE_OTHERS_COLS : 8) /
	       LINE_SLOT_COLS;
	while ((hist->count + merged - 1) / merged > max(room, 4u))
		merged++;
	return merged;
}

static uint64_t slots_sum(const uint64_t *slots, uint32_t from, uint32_t count, uint32_t end)
{
	uint64_t sum = 0;

	for (uint32_t i = from; i < min(from + count, end); i++)
		sum += slots[i];
	return sum;
}

static void line_form(const struct heat *h, const struct track *t, const struct reading *r,
		      struct strbuf *out)
{
	const uint64_t *slots = track_row(h, t, 0);
	uint32_t merged = line_merged(r, t->hist);
	char local[WALL_LOCAL_LEN + 1];

	wall_local(r->wall, fold_at_ns(r->fold), local);
	strbuf_appendf(out, "%s |", local);
	for (uint32_t i = 0; i < t->hist->count; i += merged)
		shade_form(r, slots_sum(slots, i, merged, t->hist->count), t->most, LINE_SLOT_COLS,
			   out);
	strbuf_appendf(out, "| %llu ", (unsigned long long)fold_observations(t->hist, slots));
	reading_percentile(r, t->hist, slots, 0.99, out);
	strbuf_appendf(out, "%s%s\n", *t->labels ? " " : "", t->labels);
}

static void line_bounds(const struct reading *r, const struct field *hist, struct strbuf *out)
{
	uint32_t merged = line_merged(r, hist), step = merged * MARK_SLOTS;
	auto_done(strbuf) mark = { 0 };

	strbuf_pad(out, ' ', WALL_LOCAL_LEN + 2);
	for (uint32_t i = 0; i < hist->count; i += step) {
		unsigned cols, room = MARK_SLOTS * LINE_SLOT_COLS;

		strbuf_reset(&mark);
		reading_bound(hist, hist_upper(&hist->hist, min(i + merged, hist->count) - 1),
			      &mark);
		cols = utf8_width(strbuf_str(&mark), mark.len);
		if (i + merged >= hist->count || cols >= room) {
			strbuf_pad(out, ' ', room);
			continue;
		}
		strbuf_append(out, strbuf_str(&mark), mark.len);
		strbuf_pad(out, ' ', room - cols);
	}
	strbuf_puts(out, "  COUNT P99\n");
}

static uint64_t heat_most(const struct heat *h, size_t nth)
{
	uint64_t most = 0;

	vec_for_each(t, &h->tracks)
		if (t->nth == nth)
			most = max(most, t->most);
	return most;
}

static void line_header(const struct heat *h, const struct reading *r, size_t nth,
			struct strbuf *out)
{
	const struct field *hist = fold_columns(r->fold)->hists[nth];
	uint64_t most = heat_most(h, nth);

	strbuf_appendf(out, "%s %s, %s", r->probe, r->table, hist->name);
	legend_form(r, most, out);
	strbuf_putc(out, '\n');
	line_bounds(r, hist, out);
}

void heat_lines(struct heat *h, const struct reading *r, bool header, struct strbuf *out)
{
	const struct fold_columns *c = fold_columns(r->fold);
	unsigned bits = 0;

	for (size_t nth = 0; nth < c->hist_count; nth++)
		bits = max(bits, bits_of(heat_most(h, nth)));
	header |= bits != h->told_bits && !r->no_header;
	h->told_bits = bits;
	for (size_t nth = 0; nth < c->hist_count; nth++) {
		if (header || c->hist_count > 1)
			line_header(h, r, nth, out);
		vec_for_each(t, &h->tracks)
			if (t->nth == nth && t->taken == h->readings)
				line_form(h, t, r, out);
	}
}

/* ---- time runs across ---- */

struct window {
	uint32_t from, to; /* slots from the first to behind the last that hold any */
	uint32_t merged;   /* slots of a row */
	uint64_t readings; /* shown */
	uint64_t most;     /* in a cell */
};

static uint64_t cell_count(const struct heat *h, const struct track *t, const struct window *w,
			   uint32_t slot, uint64_t ago)
{
	return slots_sum(track_row(h, t, ago), slot, w->merged, t->hist->count);
}

static void window_slots(const struct heat *h, const struct track *t, struct window *w)
{
	w->from = t->hist->count;
	for (uint64_t ago = 0; ago < w->readings; ago++)
		for (uint32_t i = 0; i < t->hist->count; i++) {
			if (!track_row(h, t, ago)[i])
				continue;
			w->from = min(w->from, i);
			w->to = max(w->to, i + 1);
		}
}

static bool window_of(const struct heat *h, const struct track *t, const struct reading *r,
		      unsigned rows, struct window *w)
{
	unsigned cols =
		r->width_cols > MAP_BOUND_COLS + 2 ? r->width_cols - MAP_BOUND_COLS - 2 : MAP_COLS;

	*w = (struct window){ .merged = 1, .readings = min(h->readings, (uint64_t)HISTORY) };
	w->readings = min(w->readings, (uint64_t)cols);
	window_slots(h, t, w);
	if (w->from >= w->to)
		return false;
	while (rows && (w->to - w->from + w->merged - 1) / w->merged > rows)
		w->merged++;
	for (uint64_t ago = 0; ago < w->readings; ago++)
		for (uint32_t i = w->from; i < w->to; i += w->merged)
			w->most = max(w->most, cell_count(h, t, w, i, ago));
	return true;
}

static void map_bound(const struct reading *r, const struct field *hist, uint32_t slot,
		      struct strbuf *out)
{
	uint64_t upper = hist_upper(&hist->hist, slot);
	auto_done(strbuf) text = { 0 };
	unsigned cols;

	if (upper == UINT64_MAX) {
		strbuf_putc(&text, '>');
		upper = hist_upper(&hist->hist, slot ? slot - 1 : 0);
	} else {
		strbuf_puts(&text, r->ascii ? "<=" : "\u2264");
	}
	reading_bound(hist, upper, &text);
	cols = utf8_width(strbuf_str(&text), text.len);
	strbuf_pad(out, ' ', cols < MAP_BOUND_COLS ? MAP_BOUND_COLS - cols : 0);
	strbuf_append(out, strbuf_str(&text), text.len);
}

/* When the first column and the last were. */
static void map_axis(const struct heat *h, const struct reading *r, const struct window *w,
		     struct strbuf *out)
{
	char first[WALL_LOCAL_LEN + 1], last[WALL_LOCAL_LEN + 1];
	uint64_t cols = w->readings, used = 2 * WALL_LOCAL_LEN;

	wall_local(r->wall, h->at_ns[(h->readings - w->readings) % HISTORY], first);
	wall_local(r->wall, h->at_ns[(h->readings - 1) % HISTORY], last);
	strbuf_pad(out, ' ', MAP_BOUND_COLS + 1);
	if (cols <= used) {
		strbuf_appendf(out, "%s to %s\n", first, last);
		return;
	}
	strbuf_puts(out, first);
	strbuf_pad(out, ' ', (size_t)(cols - used));
	strbuf_appendf(out, "%s\n", last);
}

static void map_form(const struct heat *h, const struct track *t, const struct reading *r,
		     unsigned rows, struct strbuf *out)
{
	uint64_t readings_first;
	struct window w;

	if (!window_of(h, t, r, rows, &w))
		return;
	readings_first = w.readings;
	strbuf_appendf(out, "\n%s%s%s", t->hist->name, *t->labels ? ", " : "", t->labels);
	legend_form(r, w.most, out);
	strbuf_putc(out, '\n');
	for (uint32_t row = (w.to - w.from + w.merged - 1) / w.merged; row--;) {
		uint32_t slot = w.from + row * w.merged;

		map_bound(r, t->hist, min(slot + w.merged, t->hist->count) - 1, out);
		strbuf_putc(out, '|');
		for (uint64_t ago = readings_first; ago--;)
			shade_form(r, cell_count(h, t, &w, slot, ago), w.most, 1, out);
		strbuf_puts(out, "|\n");
	}
	map_axis(h, r, &w, out);
}

void heat_map(const struct heat *h, const struct reading *r, unsigned height_rows,
	      struct strbuf *out)
{
	unsigned share =
		h->tracks.len ? (height_rows ? height_rows - 1 : 0) / (unsigned)h->tracks.len : 0;
	unsigned rows =
		share > MAP_LINES_OTHER + MAP_ROWS_MIN ? share - MAP_LINES_OTHER : MAP_ROWS_MIN;

	if (!r->no_header)
		reading_title(r, out);
	vec_for_each(t, &h->tracks)
		map_form(h, t, r, height_rows ? rows : 0, out);
}
