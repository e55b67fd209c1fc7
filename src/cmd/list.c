/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda list: what can be watched, whether it works here, and by which hook. */
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/table.h"
#include "bpf/object.h"
#include "bpf/sets.h"
#include "cmd/catalog_list.h"
#include "cmd/command.h"
#include "cmd/describe.h"
#include "cmd/form.h"
#include "pipeline/catalog.h"
#include "sink/out.h"

#include <errno.h>
#include <unistd.h>

struct list {
	const char *format;
};

/* clang-format off */
static const struct opt list_opts[] = {
	{ "output", OPT_STR, offsetof(struct list, format), "FORMAT", "text, json or csv", .letter = 'o' },
};
/* clang-format on */

static void list_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Output",
					     .rows = list_opts,
					     .count = ARRAY_LEN(list_opts),
					     .cfg = cfg });
}

/* The hooks that would be used, or why there are none. */
static bool probe_works(struct probe *p, struct strbuf *how)
{
	struct object_slot slot;
	struct err e = { 0 };

	if (object_preview(p->object, NULL, &e) < 0) {
		strbuf_puts(how, e.text);
		return false;
	}
	for (size_t i = 0; i < object_slot_count(p->object); i++) {
		object_slot(p->object, i, &slot);
		if (slot.rank && slot.hook[0] && !strstr(strbuf_str(how), slot.hook))
			strbuf_appendf(how, "%s%s", how->len ? ", " : "", slot.hook);
	}
	return true;
}

/* In text the methods are enough: "tp_btf, tp". */
static void methods_of(const char *hooks, struct strbuf *out)
{
	struct strlist all = { 0 };

	str_split(hooks, &all);
	for (size_t i = 0; i < all.len; i++) {
		auto_free char *method = xstrndup(all.at[i], strcspn(all.at[i], "/"));

		if (!strstr(strbuf_str(out), method))
			strbuf_appendf(out, "%s%s", out->len ? ", " : "", method);
	}
	strlist_done(&all);
}

static void list_text_row(struct table *t, struct probe *p, void *ctx)
{
	auto_done(strbuf) hooks = { 0 };
	auto_done(strbuf) methods = { 0 };
	bool works = probe_works(p, &hooks);

	(void)ctx;
	methods_of(strbuf_str(&hooks), &methods);
	table_cell(t, TERM_BOLD, p->name, strlen(p->name));
	table_cellf(t, works ? TERM_GREEN : TERM_RED, "%s", works ? "yes" : "no");
	table_str(t, works ? strbuf_str(&methods) : "-");
	if (works)
		table_str(t, p->decl->doc);
	else
		table_cellf(t, TERM_PLAIN, "%s (%s)", p->decl->doc, strbuf_str(&hooks));
	table_row_end(t);
}

static void list_json_row(struct strbuf *out, struct probe *p, void *ctx)
{
	auto_done(strbuf) hooks = { 0 };
	bool works = probe_works(p, &hooks);
	struct json j = { .out = out };

	(void)ctx;
	json_obj_begin(&j);
	json_key(&j, "probe");
	json_str(&j, p->name);
	json_key(&j, "doc");
	json_str(&j, p->decl->doc);
	json_key(&j, "works");
	json_bool(&j, works);
	json_key(&j, works ? "hooks" : "reason");
	json_str(&j, strbuf_str(&hooks));
	json_key(&j, "origin");
	if (p->origin)
		json_str(&j, p->origin);
	else
		json_null(&j);
	describe_json(&j, p->decl);
	json_obj_end(&j);
	json_line_end(&j);
}

/* What lies deeper in JSON finds no place in CSV. */
static const char csv_columns[] = "probe,works,hooks,reason,filters,doc,origin";

static int list_all(const struct catalog *c, enum form form, struct err *e)
{
	static const struct table_col cols[] = {
		{ .title = "PROBE" }, { .title = "HERE" }, { .title = "HOOKS" }, { .title = "WHAT" }
	};
	const struct catalog_list list = { .cols = cols,
					   .col_count = ARRAY_LEN(cols),
					   .as_json = form != FORM_TEXT,
					   .csv_columns = form == FORM_CSV ? csv_columns : NULL,
					   .text = list_text_row,
					   .json = list_json_row };

	return catalog_list(c, &list, e);
}

/* Of an object that isn't written in the probe language. */
static bool is_table(const struct declaration *d, const char *map)
{
	for (size_t i = 0; i < d->table_count; i++)
		if (str_eq(d->tables[i].name, map))
			return true;
	return false;
}

static void maps_text(struct strbuf *out, const struct declaration *d, const struct object *o)
{
	const char *heading =
		"\nMaps and rings (not read: the object doesn't declare what they hold)\n";
	struct object_map m;

	for (size_t i = 0; i < object_map_count(o); i++) {
		object_map(o, i, &m);
		if (m.internal || is_table(d, m.name))
			continue;
		strbuf_appendf(out, "%s    %s\n", heading, m.name);
		heading = "";
	}
}

static void probe_text(struct strbuf *out, struct probe *p)
{
	auto_done(strbuf) hooks = { 0 };
	bool works = probe_works(p, &hooks);
	struct object_program program;

	describe_text(out, p->decl);
	if (!object_probe_var(p->object))
		maps_text(out, p->decl, p->object);
	strbuf_appendf(out, "\nHooks (%s)\n",
		       works ? "those marked * are used here" : "it can't run here");
	for (size_t i = 0; i < object_program_count(p->object); i++) {
		struct object_slot slot;
		bool used = false;

		object_program(p->object, i, &program);
		for (size_t k = 0; k < object_slot_count(p->object); k++) {
			object_slot(p->object, k, &slot);
			if (str_eq(slot.name, program.slot))
				used = slot.rank == program.rank && slot.rank;
		}
		strbuf_appendf(out, "  %c %-12s %u  %-44s %s%s%s\n", used ? '*' : ' ', program.slot,
			       program.rank, program.hook, program.reason,
			       program.missed ? "; without it are not seen: " : "",
			       program.missed ?: "");
	}
}

static int list_one(const struct catalog *c, const char *word, enum form form, bool first,
		    struct err *e)
{
	auto_done(strbuf) out = { 0 };
	auto_ptr(probe) p = NULL;
	int err = catalog_find(c, word, &p, e);

	if (err)
		return err;
	if (form == FORM_TEXT)
		probe_text(&out, p);
	else
		list_json_row(&out, p, NULL);
	if (form == FORM_CSV && form_csv(&out, csv_columns, !first, e) < 0)
		return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}

static bool may_load(void)
{
	auto_close int fd = -1;
	struct err e;

	return !geteuid() || sets_new(&fd, &e) != -EPERM;
}

static int list_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct catalog c = { 0 };
	enum form form;
	int err = 0;

	if (form_choose(((struct list *)cfg)->format, &form, e) < 0)
		return -e->code;
	catalog_read(&c);
	if (!rest->count)
		err = list_all(&c, form, e);
	for (size_t i = 0; !err && i < rest->count; i++)
		err = list_one(&c, rest->words[i], form, !i, e);
	if (!err && !may_load())
		log_note(NULL,
			 "this is what the kernel can do; you may not load BPF programs: root may");
	catalog_done(&c);
	return err;
}

const struct command command_list_probes = {
	.name = "list",
	.synopsis = "[PROBE...] [-o text|json|csv]",
	.help = "what can be watched, and by which hook it works here",
	.text = "Without a word: all probes, those in /etc/sonda/probes too, whether this kernel can run them\n"
		"and how. With a probe: its events and fields, metric tables, parameters, filters and hooks,\n"
		"for each hook that can't be used here the reason.",
	.examples = "sonda list\tall probes\n"
		    "sonda list fs.open\tone probe, whole\n"
		    "sonda list -o json\tfor scripts\n",
	.cfg_size = sizeof(struct list),
	.options = list_options,
	.run = list_run,
};
