/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda hist: distributions from metric tables. */
#include "cmd/meter.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cmd/heat.h"
#include "cmd/screen.h"
#include "cmd/tables_list.h"

#include <errno.h>

#define HEADER_EVERY 20 /* lines of a heat map */

static const char *const in_one[1]; /* no labels to group by */

struct hist {
	struct meter meter;
	bool heat, across;
	vec(struct heat *) maps; /* of each panel */
};

/* clang-format off */
static const struct opt hist_opts[] = {
	{ "heat",   OPT_BOOL, offsetof(struct hist, heat),   NULL, "over time: a line of shades each interval instead of bars" },
	{ "across", OPT_BOOL, offsetof(struct hist, across), NULL, "over time: a map with a column each interval; off a terminal one, at the end" },
};
/* clang-format on */

static const char *hist_nth(const void *ctx, size_t i)
{
	const struct panel *p = ctx;

	return i < p->values.field_count ? p->fields[i].name : NULL;
}

/* Keeps the table's histograms, or the one of that name. */
static int hists_choose(struct panel *p, const struct metric_table *t, const char *name,
			struct err *e)
{
	const struct field *only;
	size_t n = 0;

	p->fields = xcalloc(t->values.field_count + 1, sizeof(*p->fields));
	for (size_t i = 0; i < t->values.field_count; i++)
		if (t->values.fields[i].type == FIELD_HIST)
			p->fields[n++] = t->values.fields[i];
	p->values = t->values;
	p->values.fields = p->fields;
	p->values.field_count = n;
	if (!n)
		return fail_as(e, EXIT_USAGE, EINVAL, "table '%s' of %s has no histograms", t->name,
			       t->values.probe);
	if (!name)
		return 0;
	only = fold_field(p->fields, n, name);
	if (!only)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "table '%s' has no histogram '%s' (did you mean '%s'?)", t->name,
			       name, suggest_from(name, hist_nth, p) ?: p->fields[0].name);
	p->values.fields = only;
	p->values.field_count = 1;
	return 0;
}

static const struct metric_table *table_named(const struct declaration *d, const char *name,
					      size_t len)
{
	for (size_t i = 0; i < d->table_count; i++)
		if (strlen(d->tables[i].name) == len && !strncmp(d->tables[i].name, name, len))
			return &d->tables[i];
	return NULL;
}

/* The first table with such a histogram. */
static const struct metric_table *table_with(const struct declaration *d, const char *field)
{
	for (size_t i = 0; i < d->table_count; i++)
		for (size_t k = 0; k < d->tables[i].values.field_count; k++) {
			const struct field *f = &d->tables[i].values.fields[k];

			if (f->type == FIELD_HIST && (!field || fold_field(f, 1, field)))
				return &d->tables[i];
		}
	return NULL;
}

/* "TABLE.FIELD", "TABLE", or "FIELD"; NULL: the first table that has a histogram. */
static int hist_choose(struct meter *m, struct panel *p, const struct probe *probe, struct err *e)
{
	const struct declaration *d = probe->decl;
	struct hist *h = m->self;
	const char *what = p->what;
	const char *dot = what ? strchr(what, '.') : NULL;
	const char *field = dot ? dot + 1 : NULL;
	int err;

	m->scrolls = h->heat;
	if (what)
		p->asked.table = table_named(d, what, dot ? (size_t)(dot - what) : strlen(what));
	if (!p->asked.table && !dot && (p->asked.table = table_with(d, what)))
		field = what;
	if (!p->asked.table) {
		auto_free char *table = what ? xstrndup(what, strcspn(what, ".")) : NULL;

		err = tables_find(probe, table, &p->asked.table, e);
		if (err)
			return err;
	}
	err = hists_choose(p, p->asked.table, field, e);
	p->asked.values = &p->values;
	p->asked.by = in_one; /* unless --by says otherwise */
	return err;
}

static bool hist_is_part(const struct declaration *d, const char *word)
{
	const char *dot = strchr(word, '.');

	if (table_named(d, word, dot ? (size_t)(dot - word) : strlen(word)))
		return true;
	return !dot && table_with(d, word);
}

static int hist_order(struct meter *m, struct panel *p, struct err *e)
{
	struct hist *h = m->self;

	(void)e;
	p->reading.order.what = FOLD_HIST;
	p->reading.order.by_count = true;
	if (h->heat || h->across) {
		/* a line each interval, also where nothing happened */
		p->reading.order.only_active = false;
		vec_push(&h->maps, heat_new());
	}
	return 0;
}

/* The panel's map, NULL where there is none. */
static struct heat *map_of(const struct meter *m, const struct panel *p)
{
	const struct hist *h = m->self;
	size_t nth = (size_t)(p - m->panels.at);

	return nth < h->maps.len ? h->maps.at[nth] : NULL;
}

static void hist_take(struct meter *m, struct panel *p)
{
	struct heat *map = map_of(m, p);

	/* the last reading of a command tells the whole once more */
	if (map && !(p->reading.whole && m->once))
		heat_take(map, &p->reading);
}

static void hist_text(struct meter *m, struct panel *p, struct strbuf *out)
{
	const struct hist *h = m->self;

	if (h->heat)
		heat_lines(map_of(m, p), &p->reading, !m->no_header && m->shown % HEADER_EVERY == 0,
			   out);
	else if (!h->across)
		reading_bars(&p->reading, out);
	else if (m->screen)
		heat_map(map_of(m, p), &p->reading,
			 screen_height_rows(m->screen) / (unsigned)m->panels.len, out);
}

/* Where the map could not be drawn again and again, it is drawn now; on a terminal, to stay. */
static void hist_end(struct meter *m, struct panel *p, struct strbuf *out)
{
	const struct hist *h = m->self;

	p->reading.note = NULL;
	if (h->across)
		heat_map(map_of(m, p), &p->reading, 0, out);
}

static bool hist_key(struct meter *m, struct panel *p, int key)
{
	(void)m;
	if (key != 'r')
		return false;
	p->reading.order.reverse = !p->reading.order.reverse;
	return true;
}

static const struct meter_ops hist_ops = {
	.is_part = hist_is_part,
	.choose = hist_choose,
	.order = hist_order,
	.read = hist_take,
	.text = hist_text,
	.key = hist_key,
	.end = hist_end,
	.keys = "  r          groups the other way round\n",
};

static void hist_init(void *cfg)
{
	meter_init(&((struct hist *)cfg)->meter, &hist_ops, cfg);
}

static void hist_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Distribution",
					     .rows = hist_opts,
					     .count = ARRAY_LEN(hist_opts),
					     .cfg = cfg });
	meter_options(&((struct hist *)cfg)->meter, set);
}

static int hist_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct hist *h = cfg;

	if (h->heat && h->across)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "time runs down (--heat) or across (--across), not both");
	if (!rest->count && !rest->has_dashes)
		return tables_list(&h->meter.session.catalog, h->meter.format, true, e);
	return meter_run(&((struct hist *)cfg)->meter, rest, e);
}

static void hist_done(void *cfg)
{
	struct hist *h = cfg;

	meter_done(&h->meter);
	vec_for_each(map, &h->maps)
		heat_free(*map);
	vec_done(&h->maps);
}

const struct command command_hist = {
	.name = "hist",
	.synopsis = "[PROBE [TABLE.FIELD]]... [--by LABELS] [FILTERS] [OPTIONS] [-- COMMAND ...]",
	.help = "distributions; heat map over time",
	.text = "Shows the histograms of a metric table, counted in the kernel: for each slot how many, which\n"
		"share, how much up to there, and a bar; then count, mean and percentiles. A percentile is known\n"
		"to its slot: p99 \u22641.02 ms (>512 us) means that much or less, and more than the bound before.\n"
		"TABLE.FIELD chooses one histogram, TABLE or FIELD alone will do. Without a word: the tables\n"
		"that have histograms. COMMAND is ended with it.\n"
		"\n"
		"Over time: --heat prints a line each interval, a column for each slot; --across draws a map with\n"
		"a column each interval, slow at the top. Darker is more; the legend says how many. JSON has an\n"
		"object for each group and reading, with the slots as [upper bound, count] since the beginning\n"
		"and, as NAME_delta, in the interval, and p99_above, the bound that p99 is above.",
	.examples = "sonda hist block.io --once\thow long I/O waits and takes\n"
		    "sonda hist block.io device_ns --by device\tdevice by device\n"
		    "sonda hist fs.open took --heat\tover time, a line each second\n"
		    "sonda hist block.io device --across --interval 100ms\tover time, as a map\n"
		    "sonda hist fs.open --once -- make\tof one command\n",
	.cfg_size = sizeof(struct hist),
	.init = hist_init,
	.options = hist_options,
	.run = hist_run,
	.done = hist_done,
};
