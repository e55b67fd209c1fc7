/* SPDX-License-Identifier: BSD-2-Clause */
/* Declarations in words. */
#include "cmd/describe.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/units.h"
#include "schema/kind.h"

static const struct {
	const char *word, *options;
} filter_words[] = {
	{ "task", "--pid --tid --comm --exe --user --cgroup --tree" },
	{ "errors", "--errors" },
	{ "min", "--min" },
};

static void filters_words(struct strbuf *out, const struct declaration *d)
{
	char min[UNIT_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(filter_words); i++)
		if (strstr(d->filters, filter_words[i].word))
			strbuf_appendf(out, "%s%s", out->len ? " " : "", filter_words[i].options);
	if (d->min_ns) {
		duration_format_exact(min, d->min_ns);
		strbuf_appendf(out, " (%s unless given)", min);
	}
}

static void field_line(struct strbuf *out, const struct field *f)
{
	strbuf_appendf(out, "    %-14s %-12s %s%s%s%s\n", f->name, f->kind->name, f->doc,
		       f->unit[0] && str_eq(f->kind->name, "number") ? ", in " : "",
		       f->unit[0] && str_eq(f->kind->name, "number") ? f->unit : "",
		       f->flags & FIELD_HIDE ? " (not in text unless asked for)" : "");
}

static void schema_lines(struct strbuf *out, const char *what, const struct schema *s)
{
	strbuf_appendf(out, "\n%s %s: %s\n", what, s->name, s->doc);
	for (size_t i = 0; i < s->field_count; i++)
		field_line(out, &s->fields[i]);
}

static void param_default(struct strbuf *out, const struct param *p)
{
	if (p->type == PARAM_FILE)
		strbuf_puts(out, "none: must be given");
	else if (p->type == PARAM_CHARS && (p->initial.type != VALUE_TEXT || !p->initial.text.len))
		strbuf_puts(out, "none");
	else
		value_text_form(out, &p->field, p->initial);
}

static void params_lines(struct strbuf *out, const struct declaration *d)
{
	if (d->param_count)
		strbuf_puts(out, "\nParameters\n");
	for (size_t i = 0; i < d->param_count; i++) {
		const struct param *p = &d->params[i];
		auto_free char *name = xasprintf(
			"--%s%s", p->type == PARAM_BOOL && p->initial.boolean ? "no-" : "",
			p->field.name);

		for (char *c = name; *c; c++)
			*c = *c == '_' ? '-' : *c;
		strbuf_appendf(out, "    %-18s %s (", name, p->field.doc);
		if (p->required) {
			strbuf_appendf(out, "%s, must be given)\n", p->required);
			continue;
		}
		strbuf_puts(out, "default ");
		param_default(out, p);
		if (p->has_range)
			strbuf_appendf(out, ", %lld to %lld", (long long)p->low,
				       (long long)p->high);
		strbuf_puts(out, ")\n");
	}
}

static void table_lines(struct strbuf *out, const struct metric_table *t)
{
	strbuf_appendf(out, "\nMetric table %s: %s\n", t->name, t->doc);
	strbuf_puts(out, "  by\n");
	for (size_t i = 0; i < t->labels.field_count; i++)
		if (!(t->labels.fields[i].flags & FIELD_HIDE) || t->labels.fields[i].doc[0])
			field_line(out, &t->labels.fields[i]); /* what is padding says nothing */
	strbuf_puts(out, "  counts\n");
	for (size_t i = 0; i < t->values.field_count; i++)
		field_line(out, &t->values.fields[i]);
}

void describe_text(struct strbuf *out, const struct declaration *d)
{
	auto_done(strbuf) filters = { 0 };

	filters_words(&filters, d);
	strbuf_appendf(out, "%s: %s\n", d->name, d->doc);
	for (size_t i = 0; i < d->event_count; i++)
		schema_lines(out, "Event", &d->events[i]);
	for (size_t i = 0; i < d->row_count; i++)
		schema_lines(out, "Row", &d->rows[i]);
	for (size_t i = 0; i < d->table_count; i++)
		table_lines(out, &d->tables[i]);
	params_lines(out, d);
	strbuf_appendf(out, "\nFilters\n    %s%s--where EXPR\n", strbuf_str(&filters),
		       filters.len ? " " : "");
}

static void field_json(struct json *j, const struct field *f)
{
	json_obj_begin(j);
	json_key(j, "name");
	json_str(j, f->name);
	json_key(j, "kind");
	json_str(j, f->kind->name);
	json_key(j, "unit");
	json_str(j, f->unit);
	json_key(j, "doc");
	json_str(j, f->doc);
	json_obj_end(j);
}

static void fields_json(struct json *j, const char *key, const struct schema *s)
{
	json_key(j, key);
	json_arr_begin(j);
	for (size_t i = 0; i < s->field_count; i++)
		field_json(j, &s->fields[i]);
	json_arr_end(j);
}

static void schemas_json(struct json *j, const char *key, const struct schema *s, size_t count)
{
	json_key(j, key);
	json_arr_begin(j);
	for (size_t i = 0; i < count; i++) {
		json_obj_begin(j);
		json_key(j, "name");
		json_str(j, s[i].name);
		json_key(j, "doc");
		json_str(j, s[i].doc);
		fields_json(j, "fields", &s[i]);
		json_obj_end(j);
	}
	json_arr_end(j);
}

void describe_json(struct json *j, const struct declaration *d)
{
	json_key(j, "filters");
	json_str(j, d->filters);
	schemas_json(j, "events", d->events, d->event_count);
	schemas_json(j, "rows", d->rows, d->row_count);
	json_key(j, "tables");
	json_arr_begin(j);
	for (size_t i = 0; i < d->table_count; i++) {
		json_obj_begin(j);
		json_key(j, "name");
		json_str(j, d->tables[i].name);
		json_key(j, "doc");
		json_str(j, d->tables[i].doc);
		fields_json(j, "labels", &d->tables[i].labels);
		fields_json(j, "values", &d->tables[i].values);
		json_obj_end(j);
	}
	json_arr_end(j);
	json_key(j, "params");
	json_arr_begin(j);
	for (size_t i = 0; i < d->param_count; i++)
		field_json(j, &d->params[i].field);
	json_arr_end(j);
}

static void fields_markdown(struct strbuf *out, const struct schema *s)
{
	strbuf_puts(out, "\n| field | kind | meaning |\n|---|---|---|\n");
	for (size_t i = 0; i < s->field_count; i++)
		strbuf_appendf(out, "| `%s` | %s | %s |\n", s->fields[i].name,
			       s->fields[i].kind->name, s->fields[i].doc);
}

void describe_markdown(struct strbuf *out, const struct declaration *d)
{
	auto_done(strbuf) filters = { 0 };

	filters_words(&filters, d);
	strbuf_appendf(out, "\n## %s\n\n%s.\n", d->name, d->doc);
	if (filters.len)
		strbuf_appendf(out, "\nFilters in the kernel: `%s`.\n", strbuf_str(&filters));
	for (size_t i = 0; i < d->event_count; i++) {
		strbuf_appendf(out, "\n**Event `%s`**: %s.\n", d->events[i].name, d->events[i].doc);
		fields_markdown(out, &d->events[i]);
	}
	for (size_t i = 0; i < d->row_count; i++) {
		strbuf_appendf(out, "\n**Row `%s`**: %s.\n", d->rows[i].name, d->rows[i].doc);
		fields_markdown(out, &d->rows[i]);
	}
	for (size_t i = 0; i < d->table_count; i++) {
		strbuf_appendf(out, "\n**Metric table `%s`**: %s. By:\n", d->tables[i].name,
			       d->tables[i].doc);
		fields_markdown(out, &d->tables[i].labels);
		strbuf_puts(out, "\nCounts:\n");
		fields_markdown(out, &d->tables[i].values);
	}
	if (d->param_count)
		strbuf_puts(out, "\nParameters:\n\n");
	for (size_t i = 0; i < d->param_count; i++)
		strbuf_appendf(out, "- `%s`: %s\n", d->params[i].field.name,
			       d->params[i].field.doc);
}
