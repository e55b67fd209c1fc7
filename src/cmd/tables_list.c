/* SPDX-License-Identifier: BSD-2-Clause */
/* Listing metric tables: probe, table, labels, values. */
#include "cmd/tables_list.h"

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/table.h"
#include "cmd/catalog_list.h"
#include "pipeline/catalog.h"

#include <errno.h>

/* Histograms only, or all but what is hidden. */
static void fields_text(const struct schema *s, bool hists, struct strbuf *out)
{
	strbuf_reset(out);
	for (size_t i = 0; i < s->field_count; i++) {
		const struct field *f = &s->fields[i];

		if (!(f->flags & FIELD_HIDE) && (!hists || f->type == FIELD_HIST))
			strbuf_appendf(out, "%s%s", out->len ? "," : "", f->name);
	}
}

static void table_text(struct table *to, const struct probe *p, const struct metric_table *t,
		       bool hists)
{
	auto_done(strbuf) text = { 0 };

	table_cell(to, TERM_BOLD, p->name, strlen(p->name));
	table_str(to, t->name);
	fields_text(&t->values, hists, &text);
	table_str(to, strbuf_str(&text));
	fields_text(&t->labels, false, &text);
	table_str(to, strbuf_str(&text));
	table_row_end(to);
}

static void names_json(struct json *j, const char *key, const struct schema *s)
{
	json_key(j, key);
	json_arr_begin(j);
	for (size_t i = 0; i < s->field_count; i++)
		json_str(j, s->fields[i].name);
	json_arr_end(j);
}

static void table_json(struct strbuf *out, const struct probe *p, const struct metric_table *t)
{
	struct json j = { .out = out };

	json_obj_begin(&j);
	json_key(&j, "probe");
	json_str(&j, p->name);
	json_key(&j, "table");
	json_str(&j, t->name);
	json_key(&j, "doc");
	json_str(&j, t->doc);
	names_json(&j, "labels", &t->labels);
	names_json(&j, "values", &t->values);
	json_obj_end(&j);
	json_line_end(&j);
}

static bool has_hists(const struct metric_table *t)
{
	for (size_t i = 0; i < t->values.field_count; i++)
		if (t->values.fields[i].type == FIELD_HIST)
			return true;
	return false;
}

static void probe_text(struct table *to, struct probe *p, void *ctx)
{
	const bool *hists = ctx;

	for (size_t i = 0; i < p->decl->table_count; i++)
		if (!*hists || has_hists(&p->decl->tables[i]))
			table_text(to, p, &p->decl->tables[i], *hists);
}

static void probe_json(struct strbuf *out, struct probe *p, void *ctx)
{
	const bool *hists = ctx;

	for (size_t i = 0; i < p->decl->table_count; i++)
		if (!*hists || has_hists(&p->decl->tables[i]))
			table_json(out, p, &p->decl->tables[i]);
}

int tables_list(const struct catalog *c, const char *format, bool hists, struct err *e)
{
	const struct table_col cols[] = { { .title = "PROBE" },
					  { .title = "TABLE" },
					  { .title = hists ? "HISTOGRAMS" : "VALUES" },
					  { .title = "LABELS (--by)" } };
	const struct catalog_list list = { .cols = cols,
					   .col_count = ARRAY_LEN(cols),
					   .as_json = str_eq(format ?: "text", "json"),
					   .text = probe_text,
					   .json = probe_json,
					   .ctx = &hists };

	if (!list.as_json && !str_eq(format ?: "text", "text"))
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "a list is text or json, not '%s': which probe is meant?", format);
	return catalog_list(c, &list, e);
}
