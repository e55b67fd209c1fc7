/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda top: what counts most, from metric tables. */
#include "cmd/meter.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/object.h"
#include "cmd/screen.h"
#include "cmd/tables_list.h"

#include <assert.h>
#include <errno.h>

struct top {
	struct meter meter;
	const char *sort;
	bool reverse, totals, tables;
	bool sort_known; /* a table has that column */
};

/* clang-format off */
static const struct opt top_opts[] = {
	{ "sort",    OPT_STR,  offsetof(struct top, sort),    "COLUMN", "sort by this column, most first (the first counter)", .letter = 's' },
	{ "reverse", OPT_BOOL, offsetof(struct top, reverse), NULL,     "least first", .letter = 'r' },
	{ "tables",  OPT_BOOL, offsetof(struct top, tables),  NULL,     "list the tables that there are, with their labels and values" },
	{ "totals",  OPT_BOOL, offsetof(struct top, totals),  NULL,     "sort by what was counted since the beginning, and show groups that rest" },
};
/* clang-format on */

static bool top_is_part(const struct declaration *d, const char *word)
{
	for (size_t i = 0; i < d->table_count; i++)
		if (str_eq(d->tables[i].name, word))
			return true;
	return false;
}

/* A part of what `sonda top` alone shows; all columns are of one probe's first table. */
struct view {
	const char *title;
	const char *probe;
	const char *const columns[8]; /* the first is sorted by; then NULL */
};

/* Who uses the machine now: only by tables that cost nothing while it works (bench/run overview). */
/* clang-format off */
static const struct view overview[] = {
	{ "CPU",     "process.usage", { "cpu_ns", "waited_ns", "sleeps", "preempted", "begun" } },
	{ "memory",  "process.usage", { "rss_bytes", "swap_bytes", "processes", "minor_faults", "major_faults" } },
	{ "disks",   "process.usage", { "disk_bytes", "read_bytes", "written_bytes", "read_calls", "write_calls" } },
	{ "network", "net.usage",     { "payload_bytes", "sent_bytes", "received_bytes", "retransmits", "begun" } },
};
/* clang-format on */
#define OVERVIEW_BY "comm"

enum { OVERVIEW_LIMIT = 5 };

/* Keeps the view's columns of the table, shown even if they are usually not. */
static void view_columns(struct panel *p, const struct metric_table *t)
{
	size_t n = 0;

	p->fields = xcalloc(ARRAY_LEN(p->view->columns), sizeof(*p->fields));
	for (const char *const *name = p->view->columns; *name; name++) {
		const struct field *f = schema_field(&t->values, *name);

		assert(f);
		p->fields[n] = *f;
		p->fields[n++].flags &= ~(unsigned)FIELD_HIDE;
	}
	p->values = t->values;
	p->values.fields = p->fields;
	p->values.field_count = n;
	p->asked.values = &p->values;
}

static int top_choose(struct meter *m, struct panel *p, const struct probe *probe, struct err *e)
{
	(void)m;
	if (tables_find(probe, p->what, &p->asked.table, e) < 0)
		return -e->code;
	if (!p->view)
		return 0;
	p->reading.title = p->view->title;
	view_columns(p, p->asked.table);
	return 0;
}

static int top_order(struct meter *m, struct panel *p, struct err *e)
{
	struct top *t = m->self;
	struct fold_order *order = &p->reading.order;
	bool last = p == &m->panels.at[m->panels.len - 1];
	int err;

	order->reverse = t->reverse;
	order->by_total = t->totals;
	if (t->totals)
		order->only_active = false;
	if (!t->sort)
		return 0;
	err = fold_order_by(p->reading.fold, t->sort, order, e);
	t->sort_known |= !err;
	if (err && (t->sort_known || !last)) { /* with several tables one must have it */
		err_clear(e);
		err = 0;
	}
	return err;
}

static void top_text(struct meter *m, struct panel *p, struct strbuf *out)
{
	(void)m;
	reading_ranking(&p->reading, out);
}

/* Where columns of each sort stand. */
static const enum fold_what columns_order[] = { FOLD_LABEL, FOLD_VALUE, FOLD_RATIO, FOLD_HIST };

static size_t columns_of(const struct fold_columns *c, enum fold_what what)
{
	const size_t counts[] = { [FOLD_VALUE] = c->value_count,
				  [FOLD_RATIO] = c->ratio_count,
				  [FOLD_HIST] = c->hist_count,
				  [FOLD_LABEL] = c->label_count };

	return counts[what];
}

/* From column to column, as they stand; from the last to the first. */
static void sort_move(struct fold_order *order, const struct fold_columns *c, size_t steps)
{
	size_t at = order->nth, all = 0;

	for (size_t i = 0; i < ARRAY_LEN(columns_order); i++)
		all += columns_of(c, columns_order[i]);
	for (size_t i = 0; columns_order[i] != order->what; i++)
		at += columns_of(c, columns_order[i]);
	at = all ? (at + steps % all) % all : 0;
	for (size_t i = 0; i < ARRAY_LEN(columns_order); i++) {
		size_t count = columns_of(c, columns_order[i]);

		if (at < count) {
			order->what = columns_order[i];
			order->nth = at;
			return;
		}
		at -= count;
	}
}

static bool top_key(struct meter *m, struct panel *p, int key)
{
	struct fold_order *order = &p->reading.order;
	const struct fold_columns *c = fold_columns(p->reading.fold);

	(void)m;
	if (key == 's' || key == '>' || key == KEY_RIGHT)
		sort_move(order, c, 1);
	else if (key == '<' || key == KEY_LEFT)
		sort_move(order, c,
			  c->label_count + c->value_count + c->ratio_count + c->hist_count - 1);
	else if (key == 'r')
		order->reverse = !order->reverse;
	else if (key == 't')
		order->only_active = !(order->by_total = !order->by_total);
	else
		return false;
	return true;
}

static const struct meter_ops top_ops = {
	.is_part = top_is_part,
	.choose = top_choose,
	.order = top_order,
	.text = top_text,
	.key = top_key,
	.keys = "  left right < >   sort by another column\n"
		"  r          the other way round\n"
		"  t          by totals since the beginning, by what the interval added\n",
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

static bool runs_here(const struct session *s, const char *name)
{
	auto_ptr(probe) p = NULL;
	struct err unused = { 0 };

	return !catalog_find(&s->catalog, name, &p, &unused) &&
	       !object_preview(p->object, NULL, &unused);
}

/* People get the views, programs each probe's whole table. */
static int overview_choose(struct meter *m, struct err *e)
{
	bool whole = m->format && !str_eq(m->format, "text");
	const char *before = "";
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_LEN(overview); i++) {
		const struct view *v = &overview[i];

		if ((whole && str_eq(v->probe, before)) || !runs_here(&m->session, v->probe))
			continue;
		err = meter_add(m, v->probe, whole ? NULL : v, e);
		before = v->probe;
	}
	if (!m->by.len)
		strlist_add(&m->by, OVERVIEW_BY);
	m->may_lack_by = true;
	m->limit_usual = OVERVIEW_LIMIT;
	return err;
}

static int top_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct top *t = cfg;

	if (t->tables)
		return tables_list(&t->meter.session.catalog, t->meter.format, false, e);
	if (!rest->count && overview_choose(&t->meter, e) < 0)
		return -e->code;
	return meter_run(&t->meter, rest, e);
}

static void top_done(void *cfg)
{
	meter_done(&((struct top *)cfg)->meter);
}

const struct command command_top = {
	.name = "top",
	.synopsis = "[PROBE [TABLE]]... [--by LABELS] [FILTERS] [OPTIONS] [-- COMMAND ...]",
	.help = "ranking from metric tables, refreshed",
	.text = "Counts in the kernel, without a stream of events, and shows each interval what counted most:\n"
		"labels, rates and totals of counters, percentiles of histograms (the upper bound of the\n"
		"slot that holds them), and a line with the total of all groups. Without a word: who uses CPU,\n"
		"memory, disks and network now, of tables that cost nothing while others work (what the kernel keeps\n"
		"account of anyway: process.usage and net.usage, of TCP). Several probes share the screen. On a terminal the screen is\n"
		"drawn anew in place; h shows the keys. Elsewhere blocks follow one another. COMMAND is ended with it.\n"
		"\n"
		"--by says which labels to group by; those left out are neither worked out nor stored. Where a\n"
		"table has a uid, a cgroup or a pid, user, unit, container, cgroup_path, comm and exe are labels\n"
		"too. What finds no room in a full table is counted in the row 'other'. --where may speak of\n"
		"labels and values. JSON and CSV have a row for each group and reading: a counter's total and\n"
		"NAME_delta, what the interval added to it. A NAME_ratio is a share of a whole: text shows that of the\n"
		"interval (with --totals, of the totals) in percent, JSON and CSV that of the totals and, as\n"
		"NAME_ratio_delta, that of the interval, from 0 to 1, and none where there was nothing to share.",
	.examples =
		"sonda top\twho uses the machine now\n"
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
