/* SPDX-License-Identifier: BSD-2-Clause */
/* Schemas: finding a field, and appending those that enrichers derive. */
#include "schema/schema.h"

#include <assert.h>

#include "base/str.h"
#include "schema/kind.h"
#include "schema/owned.h"

const struct field *schema_field(const struct schema *s, const char *name)
{
	assert(s && name);
	for (size_t i = 0; i < s->field_count; i++)
		if (str_eq(s->fields[i].name, name))
			return &s->fields[i];
	return NULL;
}

struct schema *owned_schema_new(void)
{
	struct owned_schema *o = xnew(struct owned_schema);

	return &o->schema;
}

struct arena *owned_schema_arena(struct schema *s)
{
	return &container_of(s, struct owned_schema, schema)->arena;
}

void schema_free(struct schema *s)
{
	struct owned_schema *o;

	if (!s)
		return;
	o = container_of(s, struct owned_schema, schema);
	arena_done(&o->arena);
	free(o);
}

struct schema *schema_extend(const struct schema *base, const struct field *extra, size_t count)
{
	uint32_t nth = 0;
	struct schema *s = owned_schema_new();
	struct field *fields;

	assert(base && (extra || !count));
	*s = *base;
	fields = arena_alloc(owned_schema_arena(s),
			     (base->field_count + count) * sizeof(*fields) + 1);
	if (base->field_count)
		memcpy(fields, base->fields, base->field_count * sizeof(*fields));
	s->fields = fields;
	for (size_t i = 0; i < count; i++) {
		const struct field *own = schema_field(s, extra[i].name);
		size_t at = own ? (size_t)(own - fields) : s->field_count;

		if (own && own->type != FIELD_STACK && own->type != FIELD_STACK_ID &&
		    !(own->kind && str_eq(own->kind->name, "address")))
			continue;
		fields[at] = extra[i];
		fields[at].type = FIELD_DERIVED;
		s->field_count += !own;
	}
	for (size_t i = 0; i < s->field_count; i++)
		if (fields[i].type == FIELD_DERIVED)
			fields[i].offset = nth++;
	return s;
}

void schema_show(struct schema *s, const char *name)
{
	struct field *fields = arena_alloc(owned_schema_arena(s), s->field_count * sizeof(*fields));

	memcpy(fields, s->fields, s->field_count * sizeof(*fields));
	for (size_t i = 0; i < s->field_count; i++)
		if (str_eq(fields[i].name, name))
			fields[i].flags &= ~(unsigned)FIELD_HIDE;
	s->fields = fields;
}
