/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda hist: distributions from metric tables. */
#include "cmd/meter.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>

#define HEADER_EVERY 20 /* lines of a heat map */

static const char *const in_one[1]; /* no labels to group by */

struct hist {
	struct meter meter;
	bool heat;
	struct schema values; /* the histograms asked for, alone */
	struct field *fields;
};

/* clang-format off */
static const struct opt hist_opts[] = {
	{ "heat", OPT_BOOL, offsetof(struct hist, heat), NULL, "a line of shades each interval instead of bars" },
};
/* clang-format on */

static const char *hist_nth(const void *ctx, size_t i)
{
	const struct hist *h = ctx;

	return i < h->values.field_count ? h->fields[i].name : NULL;
}

/* Keeps the table's histograms, or the one of that name. */
static int hists_choose(struct hist *h, const struct metric_table *t, const char *name,
			struct err *e)
{
	const struct field *only;
	size_t n = 0;

	h->fields = xcalloc(t->values.field_count + 1, sizeof(*h->fields));
	for (size_t i = 0; i < t->values.field_count; i++)
		if (t->values.fields[i].type == FIELD_HIST)
			h->fields[n++] = t->values.fields[i];
	h->values = t->values;
	h->values.fields = h->fields;
	h->values.field_count = n;
	if (!n)
		return fail_as(e, EXIT_USAGE, EINVAL, "table '%s' of %s has no histograms", t->name,
			       t->values.probe);
	if (!name)
		return 0;
	only = fold_field(h->fields, n, name);
	if (!only)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "table '%s' has no histogram '%s' (did you mean '%s'?)", t->name,
			       name, suggest_from(name, hist_nth, h) ?: h->fields[0].name);
	h->values.fields = only;
	h->values.field_count = 1;
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
static int hist_choose(struct meter *m, const char *what, struct err *e)
{
	struct hist *h = m->self;
	const struct declaration *d = m->session.probes.at[0].probe->decl;
	const char *dot = what ? strchr(what, '.') : NULL;
	const char *field = dot ? dot + 1 : NULL;
	int err;

	m->scrolls = h->heat;
	if (what)
		m->asked.table = table_named(d, what, dot ? (size_t)(dot - what) : strlen(what));
	if (!m->asked.table && !dot && (m->asked.table = table_with(d, what)))
		field = what;
	if (!m->asked.table) {
		auto_free char *table = what ? xstrndup(what, strcspn(what, ".")) : NULL;

		err = tables_find(&m->session, table, &m->asked.table, e);
		if (err)
			return err;
	}
	err = hists_choose(h, m->asked.table, field, e);
	m->asked.values = &h->values;
	m->asked.by = in_one; /* unless --by says otherwise */
	return err;
}

static int hist_order(struct meter *m, struct err *e)
{
	const struct hist *h = m->self;

	(void)e;
	m->reading.order.what = FOLD_HIST;
	m->reading.order.by_count = true;
	if (h->heat) /* a line each interval, also where nothing happened */
		m->reading.order.only_active = false;
	return 0;
}

static void hist_text(struct meter *m, struct strbuf *out)
{
	const struct hist *h = m->self;

	if (h->heat)
		reading_heat(&m->reading, !m->no_header && m->shown % HEADER_EVERY == 0, out);
	else
		reading_bars(&m->reading, out);
}

static bool hist_key(struct meter *m, int key)
{
	if (key != 'r')
		return false;
	m->reading.order.reverse = !m->reading.order.reverse;
	return true;
}

static const struct meter_ops hist_ops = {
	.choose = hist_choose,
	.order = hist_order,
	.text = hist_text,
	.key = hist_key,
	.keys = "r reverse, ",
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
	return meter_run(&((struct hist *)cfg)->meter, rest, e);
}

static void hist_done(void *cfg)
{
	struct hist *h = cfg;

	meter_done(&h->meter);
	free(h->fields);
}

const struct command command_hist = {
	.name = "hist",
	.synopsis = "PROBE [TABLE.FIELD] [--by LABELS] [FILTERS] [OPTIONS] [-- COMMAND ...]",
	.help = "distributions; heat map over time",
	.text = "Shows the histograms of a metric table, counted in the kernel: for each slot how many, which\n"
		"share, how much up to there, and a bar; then count, mean and percentiles. A percentile is the\n"
		"upper bound of the slot that holds it: the value is that or less, and more than the bound\n"
		"before. TABLE.FIELD chooses one histogram, TABLE or FIELD alone will do.\n"
		"\n"
		"--heat shows a line each interval, a column for each slot, darker where more of the line's\n"
		"observations are. JSON has an object for each group and reading, with the slots as\n"
		"[upper bound, count] since the beginning and, as NAME_delta, in the interval.",
	.examples = "sonda hist block.io --once\thow long I/O waits and takes\n"
		    "sonda hist block.io device_ns --by device\tdevice by device\n"
		    "sonda hist fs.open took --heat\tover time\n"
		    "sonda hist fs.open --once -- make\tof one command\n",
	.cfg_size = sizeof(struct hist),
	.init = hist_init,
	.options = hist_options,
	.run = hist_run,
	.done = hist_done,
};
