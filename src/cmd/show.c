/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda show: snapshots, the rows of a probe's iterators. */
#include "cmd/command.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "base/term.h"
#include "cmd/catalog_list.h"
#include "cmd/rows.h"
#include "enrich/enrich.h"
#include "pipeline/session.h"
#include "pipeline/snapshot.h"
#include "sink/columns.h"
#include "sink/sink.h"

#include <errno.h>

/* What people call it, and which fields they want to see first. */
struct topic {
	const char *name, *probe;
	const char *fields; /* of text; NULL: those not hidden */
};
static const struct topic topics[] = {
	{ "process", "process.list",
	  "pid,ppid,user,state,threads,fds,rss_bytes,swap_bytes,cpu_ns,start_ns,unit,comm,args" },
	{ "file", "fs.handle", NULL },
	{ "socket", "net.socket", NULL },
	{ "bpf", "kernel.bpf", NULL },
};

struct show {
	struct session session;
	const struct topic *topic; /* NULL: a probe was named */
	const char *format, *sort;
	struct strlist fields;
	bool no_header, reverse;
	uint64_t count;
};

/* clang-format off */
static const struct opt show_opts[] = {
	{ "output",    OPT_STR,  offsetof(struct show, format),    "FORMAT", "text, json, csv or null", .letter = 'o' },
	{ "fields",    OPT_LIST, offsetof(struct show, fields),    "LIST",   "these fields in this order", .letter = 'f' },
	{ "sort",      OPT_STR,  offsetof(struct show, sort),      "FIELD",  "numbers most first, texts from A", .letter = 's' },
	{ "reverse",   OPT_BOOL, offsetof(struct show, reverse),   NULL,     "the other way round", .letter = 'r' },
	{ "no-header", OPT_BOOL, offsetof(struct show, no_header), NULL,     "no header line" },
	{ "count",     OPT_U64,  offsetof(struct show, count),     "N",      "at most so many rows", .letter = 'n' },
};
/* clang-format on */

struct showing {
	struct show *cfg;
	const struct sink_ops *ops;
	struct sink *sink;
	struct wall wall;
	struct rows sorted;
	uint64_t rows;
	struct err *e;
};

static void show_init(void *cfg)
{
	struct show *s = cfg;

	session_init(&s->session);
	s->session.without_events = s->session.without_tables = s->session.only_snapshots = true;
}

static const char *topic_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return i < ARRAY_LEN(topics) ? topics[i].name : NULL;
}

static int show_word(struct opt_set *set, const char *word, void *ctx, struct err *e)
{
	struct show *s = ctx;
	const char *near;
	int err;

	for (size_t i = 0; i < ARRAY_LEN(topics); i++)
		if (str_eq(topics[i].name, word) || str_eq(topics[i].probe, word)) {
			s->topic = &topics[i];
			word = s->topic->probe;
		}
	err = session_word(set, word, &s->session, e);
	near = err == -ENOENT && !strpbrk(word, "./") ? suggest_from(word, topic_nth, NULL) : NULL;
	if (near)
		return fail_as(e, EXIT_USAGE, ENOENT,
			       "nothing to show is called '%s' (did you mean '%s'?)", word, near);
	return err == -ENOENT ? hint(e, "`sonda show` lists what can be shown") : err;
}

static void show_options(void *cfg, struct opt_set *set)
{
	struct show *s = cfg;

	opt_set_add(set, (struct opt_table){ .title = "Output",
					     .rows = show_opts,
					     .count = ARRAY_LEN(show_opts),
					     .cfg = s });
	session_options(&s->session, set);
	set->word = show_word;
	set->ctx = s;
}

static void show_done(void *cfg)
{
	struct show *s = cfg;

	session_done(&s->session);
	strlist_done(&s->fields);
}

static bool is_text(const struct show *s)
{
	return str_eq(s->format ?: "text", "text");
}

static int sink_start(struct showing *g, struct err *e)
{
	struct show *cfg = g->cfg;
	struct sink_options options = {
		.fd = STDOUT_FILENO,
		.cancel_fd = -1,
		.no_header = cfg->no_header,
		.colour = term_has_colour(STDOUT_FILENO),
		.width_cols = term_width(STDOUT_FILENO),
		.note = log_note_text,
		.verbose = log_shows(LOG_LEVEL_DEBUG),
		.wall = &g->wall,
		.one_probe = true,
		.snapshot = true,
	};

	g->ops = sink_find(cfg->format ?: "text");
	if (!g->ops)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "unknown format '%s' (expected text, json, csv or null)",
			       cfg->format);
	options.fields_usual = !cfg->fields.len;
	if (!cfg->fields.len && is_text(cfg) && cfg->topic && cfg->topic->fields)
		str_split(cfg->topic->fields, &cfg->fields);
	options.fields = (const char *const *)cfg->fields.at;
	options.field_count = cfg->fields.len;
	wall_init(&g->wall);
	return g->ops->open(&options, &g->sink, e);
}

static const char *field_nth(const void *ctx, size_t i)
{
	const struct schema *s = ctx;

	return i < s->field_count ? s->fields[i].name : NULL;
}

static int sort_check(const struct schema *s, const char *name, struct err *e)
{
	const char *near;

	if (!name || columns_field(s, name))
		return 0;
	near = suggest_from(name, field_nth, s);
	return fail_as(e, EXIT_USAGE, EINVAL, "--sort: %s has no field '%s'%s%s%s", s->probe, name,
		       near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
}

static int on_row(const struct row *row, void *ctx)
{
	struct showing *g = ctx;
	const char *sort = g->cfg->sort;

	if (sort) {
		rows_keep(&g->sorted, row, columns_field(row->schema, sort));
		return 0;
	}
	if (g->cfg->count && g->rows >= g->cfg->count)
		return 1; /* enough */
	g->rows++;
	return g->ops->row(g->sink, row, g->e);
}

static int sorted_show(struct showing *g)
{
	uint64_t left = g->cfg->count ?: UINT64_MAX;
	int err = 0;

	rows_sort(&g->sorted);
	for (size_t i = 0; !err && i < g->sorted.at.len && left--; i++)
		err = g->ops->row(g->sink, &g->sorted.at.at[i].row, g->e);
	return err;
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
	return (!cfg->fields.len && !is_text(cfg)) || (cfg->sort && enrich_of_process(cfg->sort));
}

static int show_start(struct showing *g, struct snapshot *snapshot, struct err *e)
{
	struct session *s = &g->cfg->session;
	const struct schema *schema;
	int err = sink_start(g, e);

	for (size_t i = 0; !err && (schema = snapshot_schema(snapshot, i)); i++) {
		err = sort_check(schema, g->cfg->sort, e);
		if (!err)
			err = g->ops->bind(g->sink, schema, e);
	}
	if (!err && s->enrich && names_processes(g->cfg))
		err = enrich_prime(s->enrich, e);
	return err ? err : snapshot_load(snapshot, e);
}

static int show_rows(struct showing *g, struct err *e)
{
	auto_ptr(snapshot) snapshot = NULL;
	int err = session_ready(&g->cfg->session, e);

	if (!err)
		err = snapshot_new(&g->cfg->session, &snapshot, e);
	if (!err)
		err = show_start(g, snapshot, e);
	if (!err)
		err = snapshot_read(snapshot, on_row, g, e);
	if (err >= 0)
		err = sorted_show(g);
	return err < 0 ? err : g->ops->flush(g->sink, e);
}

/* ---- what there is ---- */

static const char *topic_of(const char *probe)
{
	for (size_t i = 0; i < ARRAY_LEN(topics); i++)
		if (str_eq(topics[i].probe, probe))
			return topics[i].name;
	return probe;
}

static void list_text(struct table *t, struct probe *p, void *ctx)
{
	(void)ctx;
	if (!p->decl->row_count)
		return;
	table_str(t, topic_of(p->name));
	table_str(t, p->name);
	table_str(t, p->decl->doc);
	table_row_end(t);
}

static void list_json(struct strbuf *out, struct probe *p, void *ctx)
{
	struct json j = { .out = out };

	(void)ctx;
	if (!p->decl->row_count)
		return;
	json_obj_begin(&j);
	json_key(&j, "show");
	json_str(&j, topic_of(p->name));
	json_key(&j, "probe");
	json_str(&j, p->name);
	json_key(&j, "doc");
	json_str(&j, p->decl->doc);
	json_obj_end(&j);
	json_line_end(&j);
}

static int show_list(const struct show *s, struct err *e)
{
	static const struct table_col cols[] = { { .title = "SHOW" },
						 { .title = "PROBE" },
						 { .title = "WHAT" } };
	const struct catalog_list list = { .cols = cols,
					   .col_count = ARRAY_LEN(cols),
					   .as_json = str_eq(s->format ?: "text", "json"),
					   .no_header = s->no_header,
					   .text = list_text,
					   .json = list_json };

	return catalog_list(&s->session.catalog, &list, e);
}

static int show_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct show *s = cfg;
	struct showing g = { .cfg = s, .e = e, .sorted.reverse = s->reverse };
	int err;

	if (rest->has_dashes)
		return fail_as(e, EXIT_USAGE, EINVAL, "show takes no COMMAND: it shows what is");
	if (!s->session.probes.len)
		return show_list(s, e);
	err = show_rows(&g, e);
	if (g.sink)
		g.ops->close(g.sink);
	rows_done(&g.sorted);
	return err;
}

const struct command command_show = {
	.name = "show",
	.word = topic_nth,
	.synopsis = "[process|file|socket|bpf|PROBE] [FILTERS] [OPTIONS]",
	.help = "snapshots: processes, open files, sockets, BPF programs",
	.text = "Shows what is now: the rows of the probe's iterators, once, in the same formats as events and\n"
		"with the same conditions and fields. Without a word it lists what can be shown. Where the kernel\n"
		"has no iterators, or they are not permitted, /proc is read instead and stderr says what that\n"
		"leaves out.",
	.examples =
		"sonda show process --sort rss --count 10\twhat takes the most memory\n"
		"sonda show file --where deleted --sort size\twho holds deleted files\n"
		"sonda show file --where \"path ~ '/var/log/**'\"\twho has a log open\n"
		"sonda show socket --where 'state == listen'\twho listens where\n"
		"sonda show bpf --sort memory\twhose BPF maps and programs take memory\n"
		"sonda show socket --where 'retransmits > 0' --sort rtt -o json\tbad connections\n",
	.cfg_size = sizeof(struct show),
	.init = show_init,
	.options = show_options,
	.run = show_run,
	.done = show_done,
};
