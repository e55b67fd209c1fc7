/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda top: what counts most, from metric tables. */
#include "cmd/meter.h"

#include "base/mem.h"

struct top {
	struct meter meter;
	const char *sort;
	bool reverse, totals;
};

/* clang-format off */
static const struct opt top_opts[] = {
	{ "sort",    OPT_STR,  offsetof(struct top, sort),    "COLUMN", "sort by this column, most first (the first counter)", .letter = 's' },
	{ "reverse", OPT_BOOL, offsetof(struct top, reverse), NULL,     "least first", .letter = 'r' },
	{ "totals",  OPT_BOOL, offsetof(struct top, totals),  NULL,     "sort by what was counted since the beginning, and show groups that rest" },
};
/* clang-format on */

static int top_choose(struct meter *m, const char *what, struct err *e)
{
	return tables_find(&m->session, what, &m->asked.table, e);
}

static int top_order(struct meter *m, struct err *e)
{
	const struct top *t = m->self;
	struct fold_order *order = &m->reading.order;

	order->reverse = t->reverse;
	order->by_total = t->totals;
	if (t->totals)
		order->only_active = false;
	return t->sort ? fold_order_by(m->reading.fold, t->sort, order, e) : 0;
}

static void top_text(struct meter *m, struct strbuf *out)
{
	reading_ranking(&m->reading, out);
}

/* From column to column: values, histograms, labels. */
static void sort_next(struct fold_order *order, const struct fold_columns *c)
{
	const size_t counts[] = { [FOLD_VALUE] = c->value_count,
				  [FOLD_HIST] = c->hist_count,
				  [FOLD_LABEL] = c->label_count };

	order->nth++;
	for (size_t i = 0; i < ARRAY_LEN(counts) && order->nth >= counts[order->what]; i++) {
		order->what = (order->what + 1) % ARRAY_LEN(counts);
		order->nth = 0;
	}
}

static bool top_key(struct meter *m, int key)
{
	struct fold_order *order = &m->reading.order;

	if (key == 's')
		sort_next(order, fold_columns(m->reading.fold));
	else if (key == 'r')
		order->reverse = !order->reverse;
	else
		return false;
	return true;
}

static const struct meter_ops top_ops = {
	.choose = top_choose,
	.order = top_order,
	.text = top_text,
	.key = top_key,
	.keys = "s sort, r reverse, ",
};

static void top_init(void *cfg)
{
	meter_init(&((struct top *)cfg)->meter, &top_ops, cfg);
}

static void top_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Ranking",
					     .rows = top_opts,
					     .count = ARRAY_LEN(top_opts),
					     .cfg = cfg });
	meter_options(&((struct top *)cfg)->meter, set);
}

static int top_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	return meter_run(&((struct top *)cfg)->meter, rest, e);
}

static void top_done(void *cfg)
{
	meter_done(&((struct top *)cfg)->meter);
}

const struct command command_top = {
	.name = "top",
	.synopsis = "PROBE [TABLE] [--by LABELS] [FILTERS] [OPTIONS] [-- COMMAND ...]",
	.help = "ranking from metric tables, refreshed",
	.text = "Counts in the kernel, without a stream of events, and shows each interval what counted most:\n"
		"labels, rates and totals of counters, percentiles of histograms (the upper bound of the\n"
		"slot that holds them). On a terminal the screen is drawn anew in place; keys: q quits, s\n"
		"sorts by the next column, r reverses, space pauses. Elsewhere blocks follow one another.\n"
		"\n"
		"--by says which labels to group by; those left out are neither worked out nor stored. Where a\n"
		"table has a uid or a cgroup, user, unit and container are labels too. What finds no room in a\n"
		"full table is counted in the row 'other'. --where may speak of labels and values. JSON and CSV\n"
		"have a row for each group and reading: a counter's total and NAME_delta, what the interval\n"
		"added to it.",
	.examples =
		"sonda top fs.open --by comm\twho opens most files\n"
		"sonda top fs.open --by unit,err --once --interval 10s\tresults by service, in ten seconds\n"
		"sonda top block.io --sort device_ns\twhose I/O is slowest\n"
		"sonda top block.io --by device,op -o json --interval 10s\tfor a collector\n"
		"sonda top fs.open --by comm --once -- make\twhat a build opens\n",
	.cfg_size = sizeof(struct top),
	.init = top_init,
	.options = top_options,
	.run = top_run,
	.done = top_done,
};
