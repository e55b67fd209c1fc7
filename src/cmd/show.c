/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda show: snapshots, the rows of a probe's iterators. */
#include "cmd/command.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/term.h"
#include "bpf/object.h"
#include "enrich/enrich.h"
#include "pipeline/session.h"
#include "sink/sink.h"

#include <errno.h>

struct show {
	struct session session;
	const char *format;
	struct strlist fields;
	bool no_header;
	uint64_t count;
};

/* clang-format off */
static const struct opt show_opts[] = {
	{ "output",    OPT_STR,  offsetof(struct show, format),    "FORMAT", "text, json, csv or null", .letter = 'o' },
	{ "fields",    OPT_LIST, offsetof(struct show, fields),    "LIST",   "these fields in this order", .letter = 'f' },
	{ "no-header", OPT_BOOL, offsetof(struct show, no_header), NULL,     "no header line" },
	{ "count",     OPT_U64,  offsetof(struct show, count),     "N",      "at most so many rows", .letter = 'n' },
};
/* clang-format on */

/* A row's schema with what is done to its rows. */
struct shown {
	const struct schema *schema;
	struct filter_bound *where;
};

struct showing {
	const struct show *cfg;
	const struct sink_ops *ops;
	struct sink *sink;
	struct wall wall;
	vec(struct shown) schemas;
	uint64_t rows;
	struct err *e;
};

static void show_init(void *cfg)
{
	struct show *s = cfg;

	session_init(&s->session);
	s->session.without_events = s->session.without_tables = true;
}

static void show_options(void *cfg, struct opt_set *set)
{
	struct show *s = cfg;

	opt_set_add(set, (struct opt_table){ .title = "Output",
					     .rows = show_opts,
					     .count = ARRAY_LEN(show_opts),
					     .cfg = s });
	session_options(&s->session, set);
}

static void show_done(void *cfg)
{
	struct show *s = cfg;

	session_done(&s->session);
	strlist_done(&s->fields);
}

static int sink_start(struct showing *g, struct err *e)
{
	const struct show *cfg = g->cfg;
	struct sink_options options = {
		.fd = STDOUT_FILENO,
		.cancel_fd = -1,
		.no_header = cfg->no_header,
		.colour = term_has_colour(STDOUT_FILENO),
		.width_cols = term_width(STDOUT_FILENO),
		.fields = (const char *const *)cfg->fields.at,
		.field_count = cfg->fields.len,
		.wall = &g->wall,
		.one_probe = true,
	};

	g->ops = sink_find(cfg->format ?: "text");
	if (!g->ops)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "unknown format '%s' (expected text, json, csv or null)",
			       cfg->format);
	wall_init(&g->wall);
	return g->ops->open(&options, &g->sink, e);
}

/* Every sort of row that the probe has, with the enrichers' fields and the condition. */
static int schemas_start(struct showing *g, struct err *e)
{
	const struct session *s = &g->cfg->session;
	const struct watched *w = &s->probes.at[0];
	const struct declaration *d = w->probe->decl;

	for (size_t i = 0; i < d->row_count; i++) {
		struct shown *shown = vec_add(&g->schemas);

		shown->schema = s->enrich ? enrich_schema(s->enrich, &d->rows[i]) : &d->rows[i];
		if (session_condition(s, w, shown->schema, &shown->where, e) < 0 ||
		    g->ops->bind(g->sink, shown->schema, e) < 0)
			return -e->code;
	}
	return 0;
}

static int on_record(const struct record *record, const void *bytes, void *ctx)
{
	struct showing *g = ctx;
	struct row row = { .bytes = bytes,
			   .size = record->size,
			   .cpu = record->cpu,
			   .seq = record->seq,
			   .at_ns = record->at_ns };

	if (g->cfg->count && g->rows >= g->cfg->count)
		return 0;
	vec_for_each(shown, &g->schemas) {
		if (shown->schema->type_id != record->type || record->size < shown->schema->size)
			continue;
		row.schema = shown->schema;
		if (shown->where && !filter_matches(shown->where, &row))
			return 0;
		g->rows++;
		return g->ops->row(g->sink, &row, g->e);
	}
	return 0;
}

static int iterators_run(struct showing *g, struct err *e)
{
	const struct object *o = g->cfg->session.probes.at[0].probe->object;
	int err = 0;

	for (size_t i = 0; !err && i < object_program_count(o); i++) {
		struct object_program p;

		object_program(o, i, &p);
		if (p.row_type && p.state == PROGRAM_USED)
			err = object_rows(o, p.name, on_record, g, e);
	}
	return err ? err : g->ops->flush(g->sink, e);
}

static bool names_processes(const struct show *cfg)
{
	const struct session *s = &cfg->session;
	const struct filter *where = s->probes.at[0].where ?: s->where;
	const char *name;

	for (size_t i = 0; i < cfg->fields.len; i++)
		if (enrich_of_process(cfg->fields.at[i]))
			return true;
	for (size_t i = 0; where && (name = filter_field(where, i)); i++)
		if (enrich_of_process(name))
			return true;
	return !cfg->fields.len && !str_eq(cfg->format ?: "text", "text");
}

static int show_rows(struct showing *g, struct show *cfg, struct err *e)
{
	struct session *s = &cfg->session;
	int err = session_ready(s, e);

	if (!err)
		err = sink_start(g, e);
	if (!err)
		err = schemas_start(g, e);
	if (!err && s->enrich && names_processes(cfg))
		err = enrich_prime(s->enrich, e);
	if (!err)
		err = session_load(s, e);
	return err ? err : iterators_run(g, e);
}

static int show_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct show *s = cfg;
	struct showing g = { .cfg = s, .e = e };
	const struct declaration *d;
	int err;

	if (rest->has_dashes)
		return fail_as(e, EXIT_USAGE, EINVAL, "show takes no COMMAND: it shows what is");
	if (s->session.probes.len != 1)
		return fail_as(e, EXIT_USAGE, EINVAL, "one probe is expected (`sonda list`)");
	d = s->session.probes.at[0].probe->decl;
	if (!d->row_count) {
		fail_as(e, EXIT_USAGE, EINVAL, "%s has no snapshots to show", d->name);
		return hint(e,
			    d->event_count ? "sonda trace %s shows its events"
					   : "sonda top %s shows its tables",
			    d->name);
	}
	err = show_rows(&g, s, e);
	if (g.sink)
		g.ops->close(g.sink);
	vec_for_each(shown, &g.schemas)
		filter_bound_free(shown->where);
	vec_done(&g.schemas);
	return err;
}

const struct command command_show = {
	.name = "show",
	.synopsis = "PROBE [FILTERS] [OPTIONS]",
	.help = "snapshots",
	.text = "Shows what is now: the rows of the probe's iterators, once, in the same formats as events and\n"
		"with the same conditions and fields.",
	.examples = "sonda show ./tasks.bpf.o --where 'nice > 0'\tof a probe of your own\n"
		    "sonda show ./tasks.bpf.o -o json --fields pid,exe\tfor scripts\n",
	.cfg_size = sizeof(struct show),
	.init = show_init,
	.options = show_options,
	.run = show_run,
	.done = show_done,
};
