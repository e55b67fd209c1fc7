/* SPDX-License-Identifier: BSD-2-Clause */
/* Listing metric tables: probe, table, labels, values. */
#include "cmd/tables_list.h"

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/table.h"
#include "pipeline/catalog.h"
#include "sink/out.h"

#include <errno.h>
#include <unistd.h>

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

int tables_list(const struct catalog *c, const char *format, bool hists, struct err *e)
{
	const struct table_col cols[] = { { .title = "PROBE" },
					  { .title = "TABLE" },
					  { .title = hists ? "HISTOGRAMS" : "VALUES" },
					  { .title = "LABELS (--by)" } };
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO),
				     .colour = term_has_colour(STDOUT_FILENO),
				     .settle_rows = 1000 };
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) table = table_new(cols, ARRAY_LEN(cols), style, &out);
	bool as_json = format && str_eq(format, "json");

	if (format && !as_json && !str_eq(format, "text"))
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "a list is text or json, not '%s': which probe is meant?", format);
	vec_for_each(entry, &c->entries) {
		auto_ptr(probe) p = NULL;

		if (catalog_open(entry, &p, e) < 0) {
			log_warn(NULL, "%s", e->text);
			err_clear(e);
			continue;
		}
		for (size_t i = 0; !p->decl->internal && i < p->decl->table_count; i++) {
			const struct metric_table *t = &p->decl->tables[i];

			if (hists && !has_hists(t))
				continue;
			if (as_json)
				table_json(&out, p, t);
			else
				table_text(table, p, t, hists);
		}
	}
	if (!as_json)
		table_settle(table);
	return out_write(&out, STDOUT_FILENO, -1, e);
}
