/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing fields. */
#include "sink/columns.h"

#include "base/err.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>

static struct column *column_add(struct columns *c, enum column_what what,
				 const struct field *field, const char *name)
{
	struct column *column = vec_add(&c->at);

	column->what = what;
	column->field = field;
	column->name = name;
	return column;
}

/* "took" stands for "took_ns" */
static bool name_without_unit(const char *full, const char *name)
{
	const char *rest = str_after(full, name);

	return rest && rest[0] == '_' && !strchr(rest + 1, '_');
}

const struct field *columns_field(const struct schema *s, const char *name)
{
	const struct field *found = schema_field(s, name);

	for (size_t i = 0; !found && i < s->field_count; i++)
		if (s->fields[i].unit[0] && name_without_unit(s->fields[i].name, name))
			found = &s->fields[i];
	return found;
}

static const char *field_nth(const void *ctx, size_t i)
{
	const struct schema *s = ctx;

	return i < s->field_count ? s->fields[i].name : NULL;
}

static int columns_named(const struct sink_options *o, const struct schema *s, struct columns *c,
			 struct err *e)
{
	const char *unknown = NULL, *near;
	size_t known = 0;

	for (size_t i = 0; i < o->field_count; i++) {
		const char *name = o->fields[i];
		const struct field *field = columns_field(s, name);

		if (str_eq(name, "time") || str_eq(name, "probe")) {
			column_add(c, name[0] == 't' ? COLUMN_TIME : COLUMN_PROBE, NULL, name)
				->time = o->time;
			continue;
		}
		column_add(c, COLUMN_FIELD, field, field ? field->name : name);
		known += field != NULL;
		if (!field && !unknown)
			unknown = name;
	}
	/* with several probes a name need only be known to one; alone it must be */
	if (!unknown || (known && !o->one_probe))
		return 0;
	near = suggest_from(unknown, field_nth, s);
	return fail_as(e, EXIT_USAGE, EINVAL, "--fields: %s has no field '%s'%s%s%s", s->probe,
		       unknown, near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
}

int columns_choose(const struct sink_options *o, const struct schema *s, bool hidden,
		   struct columns *ret, struct err *e)
{
	struct columns c = { 0 };
	int err = 0;

	if (o->field_count) {
		err = columns_named(o, s, &c, e);
	} else {
		if (hidden || !o->snapshot)
			column_add(&c, COLUMN_TIME, NULL, "time")->time = o->time;
		if (hidden || !o->one_probe)
			column_add(&c, COLUMN_PROBE, NULL, "probe");
		for (size_t i = 0; i < s->field_count; i++)
			if (hidden || !(s->fields[i].flags & FIELD_HIDE))
				column_add(&c, COLUMN_FIELD, &s->fields[i], s->fields[i].name);
	}
	if (err) {
		columns_done(&c);
		return err;
	}
	*ret = c;
	return 0;
}

static const struct field *port_of(const struct schema *s, const struct field *address)
{
	auto_free char *name = xasprintf("%s_port", address->name);

	return schema_field(s, name);
}

static bool is_joined(const struct columns *c, const struct field *f)
{
	for (size_t i = 0; i < c->at.len; i++)
		if (f && c->at.at[i].port == f)
			return true;
	return false;
}

void columns_join_ports(struct columns *c, const struct schema *s)
{
	size_t kept = 0;

	vec_for_each(column, &c->at)
		if (column->field && column->field->type == FIELD_IP)
			column->port = port_of(s, column->field);
	for (size_t i = 0; i < c->at.len; i++)
		if (!is_joined(c, c->at.at[i].field))
			c->at.at[kept++] = c->at.at[i];
	c->at.len = kept;
}

void columns_done(struct columns *c)
{
	vec_done(&c->at);
}

size_t columns_name_len(const char *name, const struct field *f)
{
	const char *last = strrchr(name, '_');

	if (f && f->unit[0] && last && last != name &&
	    (str_eq(last + 1, f->unit) || str_eq(last, "_ns") || str_eq(last, "_bytes")))
		return (size_t)(last - name);
	return strlen(name);
}

bool columns_collide(const struct field *a, const struct field *b)
{
	size_t len = columns_name_len(a->name, a);

	return a != b && len == columns_name_len(b->name, b) && !strncmp(a->name, b->name, len);
}

char *columns_title(const char *name, size_t len)
{
	char *title = xstrndup(name, len);

	for (char *p = title; *p; p++)
		*p = *p == '_' ? '-' : (char)toupper((unsigned char)*p);
	return title;
}
