/* SPDX-License-Identifier: BSD-2-Clause */
/* RATIO of the probe language: columns of a metric table that are worked out from two values of the row. */
#include "schema/declare.h"

#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "schema/kind.h"
#include "schema/names.h"

#define RATIO_SUFFIX "_ratio"

/* The tag: "share opens failed_ratio failed opens". */
struct ratio_words {
	const char *how, *table, *name, *part, *whole;
};

static int words_read(struct declarer *d, const char *tag, struct ratio_words *ret, struct err *e)
{
	const char **const to[] = { &ret->how, &ret->table, &ret->name, &ret->part, &ret->whole };

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		size_t len = strcspn(tag, " ");
		char *word = arena_memdup(d->arena, tag, min(len, (size_t)TEXT_LEN_MAX));

		if (!name_is_identifier(word))
			return fail(e, EINVAL, "expected its table, name, part and whole");
		*to[i] = word;
		tag += len + (tag[len] == ' ');
	}
	if (*tag || (!str_eq(ret->how, "share") && !str_eq(ret->how, "rest")))
		return fail(e, EINVAL, "expected its table, name, part and whole");
	return 0;
}

static const char *value_nth(const void *ctx, size_t i)
{
	const struct schema *s = ctx;

	return i < s->field_count ? s->fields[i].name : NULL;
}

/* A counter or a gauge that is never below 0. */
static int operand_find(const struct schema *s, const char *name, const struct field **ret,
			struct err *e)
{
	const struct field *f = schema_field(s, name);
	const char *near = f ? NULL : suggest_from(name, value_nth, s);

	if (!f)
		return fail(e, EINVAL, "the table has no value '%s'%s%s%s", name,
			    near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
	if (f->type != FIELD_INT || f->is_signed)
		return fail(e, EINVAL, "'%s' is neither a counter nor a gauge without sign", name);
	*ret = f;
	return 0;
}

static int ratio_field(struct declarer *d, const struct object_var *var, const struct schema *s,
		       const struct ratio_words *w, struct field *ret, struct err *e)
{
	const struct field *part, *whole;
	size_t len = strlen(w->name), suffix = strlen(RATIO_SUFFIX);
	struct field f = { .name = w->name, .type = FIELD_RATIO, .kind = kind_find("ratio") };

	if (len <= suffix || !str_eq(w->name + len - suffix, RATIO_SUFFIX))
		return fail(e, EINVAL, "its name does not end in " RATIO_SUFFIX);
	if (schema_field(s, w->name))
		return fail(e, EINVAL, "the table has two of that name");
	if (s->field_count >= FIELDS_MAX)
		return fail(e, EINVAL, "more than %d fields", FIELDS_MAX);
	if (operand_find(s, w->part, &part, e) < 0 || operand_find(s, w->whole, &whole, e) < 0)
		return -e->code;
	if ((part->flags ^ whole->flags) & FIELD_GAUGE)
		return fail(e, EINVAL, "'%s' is a gauge, '%s' a counter",
			    (part->flags & FIELD_GAUGE ? part : whole)->name,
			    (part->flags & FIELD_GAUGE ? whole : part)->name);
	if (declare_text(d, var->var, -1, "doc", &f.doc, e) < 0)
		return -e->code;
	f.unit = f.kind->unit;
	if (types_tag(d->types, var->var, -1, "hide", 0))
		f.flags |= FIELD_HIDE;
	f.ratio = (struct ratio_shape){ .part = part->offset,
					.whole = whole->offset,
					.rest = str_eq(w->how, "rest") };
	*ret = f;
	return 0;
}

static void field_append(struct declarer *d, struct schema *s, const struct field *f)
{
	struct field *fields = arena_alloc(d->arena, (s->field_count + 1) * sizeof(*fields));

	memcpy(fields, s->fields, s->field_count * sizeof(*fields));
	fields[s->field_count++] = *f;
	s->fields = fields;
}

static int ratio_read(struct declarer *d, const struct object_var *var, const char *tag,
		      struct metric_table *tables, size_t count, struct err *e)
{
	struct ratio_words w;
	struct field f;

	if (words_read(d, tag, &w, e) < 0)
		return -e->code;
	for (size_t i = 0; i < count; i++) {
		if (!str_eq(tables[i].name, w.table))
			continue;
		if (ratio_field(d, var, &tables[i].values, &w, &f, e) < 0)
			return -e->code;
		field_append(d, &tables[i].values, &f);
		return 0;
	}
	return fail(e, EINVAL, "there is no table '%s'", w.table);
}

int declare_ratios(struct declarer *d, struct metric_table *tables, size_t count, struct err *e)
{
	size_t vars = object_var_count(d->object), ratios = 0;
	struct object_var var;

	for (size_t i = 0; i < vars; i++) {
		const char *tag;

		object_var(d->object, i, &var);
		tag = types_tag(d->types, var.var, -1, "ratio", 0);
		if (!tag)
			continue;
		if (ratios++ == RATIOS_MAX)
			return fail(e, EINVAL, "more than %d RATIOs", RATIOS_MAX);
		if (ratio_read(d, &var, tag, tables, count, e) < 0)
			return wrap(e, "'%s'", var.name);
	}
	return 0;
}
