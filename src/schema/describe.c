/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schemas as bytes. A schema is: version, then the schema's own values, its enums, its fields. Numbers
 * are LEB128 (seven bits a byte, low ones first), texts a length and their bytes. Fields refer to an
 * enum by its place in the list, from 1; 0 is none.
 */
#include "schema/describe.h"

#include <assert.h>
#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "schema/kind.h"
#include "schema/names.h"
#include "schema/owned.h"

enum {
	DESCRIBE_VERSION = 1,
	TEXT_BYTES_MAX = 4096,
	STRUCT_BYTES_MAX = 65536,
	FIELD_COUNT_MAX = 1024,
	NAME_COUNT_MAX = 4096,
	ENUM_COUNT_MAX = 1024,
	SLOT_COUNT_MAX = 4096,
};

/* --- writing --- */

static void put(struct strbuf *out, uint64_t n)
{
	while (n >= 0x80) {
		strbuf_putc(out, (char)(n | 0x80));
		n >>= 7;
	}
	strbuf_putc(out, (char)n);
}

static void put_text(struct strbuf *out, const char *s)
{
	size_t len = min(strlen(s), (size_t)TEXT_BYTES_MAX);

	put(out, len);
	strbuf_append(out, s, len);
}

static void put_names(struct strbuf *out, const struct names *n)
{
	put_text(out, n->enum_name);
	put_text(out, n->prefix);
	put(out, n->count);
	for (size_t i = 0; i < n->count; i++) {
		put(out, n->at[i].value);
		put_text(out, n->at[i].name);
	}
}

static void put_hist(struct strbuf *out, const struct hist_shape *h)
{
	put(out, h->scale);
	put(out, h->low);
	put(out, h->step);
	for (uint32_t i = 0; h->scale == HIST_BOUNDS && i + 1 < h->slots; i++)
		put(out, h->bounds[i]);
}

/* Which enum of the schema the field has, from 1 in order of first use; 0: none. */
static uint64_t names_place(const struct schema *s, const struct field *f, bool *ret_first)
{
	uint64_t place = 0;

	*ret_first = false;
	for (size_t i = 0; f->names && i < s->field_count; i++) {
		const struct names *n = s->fields[i].names;
		bool first = n != NULL;

		for (size_t j = 0; first && j < i; j++)
			first = s->fields[j].names != n;
		place += first;
		if (n != f->names)
			continue;
		*ret_first = &s->fields[i] == f;
		return place;
	}
	return 0;
}

static void put_field(struct strbuf *out, const struct schema *s, const struct field *f)
{
	bool first;

	put_text(out, f->name);
	put_text(out, f->doc);
	put_text(out, f->unit);
	put_text(out, f->kind->name);
	put(out, f->type);
	put(out, f->flags);
	put(out, f->offset);
	put(out, f->size);
	put(out, f->bits);
	put(out, f->bit_offset);
	put(out, (uint64_t)f->is_signed | (uint64_t)f->is_bool << 1);
	put(out, f->element_size);
	put(out, f->member);
	put(out, f->count);
	put(out, names_place(s, f, &first));
	if (f->type == FIELD_HIST)
		put_hist(out, &f->hist);
}

void schema_encode(const struct schema *s, struct strbuf *out)
{
	uint64_t enums = 0, place;
	bool first;

	assert(s && out);
	for (size_t i = 0; i < s->field_count; i++) {
		place = names_place(s, &s->fields[i], &first);
		enums = max(enums, place);
	}
	put(out, DESCRIBE_VERSION);
	put_text(out, s->probe);
	put_text(out, s->name);
	put_text(out, s->doc);
	put(out, s->size);
	put(out, enums);
	for (size_t i = 0; i < s->field_count; i++)
		if (names_place(s, &s->fields[i], &first) && first)
			put_names(out, s->fields[i].names);
	put(out, s->field_count);
	for (size_t i = 0; i < s->field_count; i++)
		put_field(out, s, &s->fields[i]);
}

/* --- reading --- */

/* What is left; after the first thing that was wrong, `wrong` says what, and every get gives 0. */
struct reader {
	const unsigned char *at, *end;
	const char *wrong;
	struct arena *arena;
	const struct names **enums;
	uint64_t enum_count;
};

static void spoil(struct reader *r, const char *wrong)
{
	if (!r->wrong)
		r->wrong = wrong;
	r->at = r->end;
}

/* A number that is at most `most`. */
static uint64_t get(struct reader *r, uint64_t most)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint64_t low = *r->at & 0x7f;

		n |= low << shift;
		if (low << shift >> shift != low)
			break;
		if (*r->at++ & 0x80)
			continue;
		if (n <= most)
			return n;
		spoil(r, "a number is too large");
		return 0;
	}
	spoil(r, "it is cut off, or a number is too long");
	return 0;
}

static const char *get_text(struct reader *r)
{
	uint64_t len = get(r, TEXT_BYTES_MAX);
	const unsigned char *from = r->at;

	if (len > (uint64_t)(r->end - r->at) || (len && memchr(from, '\0', len))) {
		spoil(r, "a text is cut off, or holds a NUL");
		return "";
	}
	r->at += len;
	return arena_memdup(r->arena, from, len);
}

/* What gets printed unquoted: names of fields and enum values. */
static const char *get_name(struct reader *r)
{
	const char *name = get_text(r);

	if (!name_is_identifier(name))
		spoil(r, "a name is of other than letters, digits and _");
	return name;
}

static const struct names *get_names(struct reader *r)
{
	struct names *n = arena_new(r->arena, struct names);
	struct names_row *rows;

	n->enum_name = get_text(r);
	n->prefix = get_text(r);
	n->count = get(r, NAME_COUNT_MAX);
	rows = arena_alloc(r->arena, n->count * sizeof(*rows) + 1);
	for (size_t i = 0; i < n->count && !r->wrong; i++) {
		rows[i].value = get(r, UINT64_MAX);
		rows[i].name = get_name(r);
		if (i && rows[i].value <= rows[i - 1].value)
			spoil(r, "values of an enum are not sorted");
	}
	n->at = rows;
	return n;
}

static void get_hist(struct reader *r, struct field *f)
{
	uint64_t *bounds;

	f->hist.scale = (enum hist_scale)get(r, HIST_BOUNDS);
	f->hist.low = get(r, UINT64_MAX);
	f->hist.step = get(r, UINT64_MAX);
	f->hist.slots = f->count;
	if (f->hist.scale != HIST_BOUNDS)
		return;
	bounds = arena_alloc(r->arena, (f->count + 1ull) * sizeof(*bounds));
	for (uint32_t i = 0; i + 1 < f->count && !r->wrong; i++)
		bounds[i] = get(r, UINT64_MAX);
	f->hist.bounds = bounds;
}

/* Do size and count go with the type? */
static bool layout_is_right(const struct field *f)
{
	bool whole = f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8;

	switch (f->type) {
	case FIELD_INT:
	case FIELD_ENUM:
		return f->bits ? f->bits <= 64 && f->bit_offset < 8 && f->size <= 8 &&
					 f->bit_offset + f->bits <= f->size * 8
			       : whole;
	case FIELD_TEXT:
		return f->size == sizeof(struct text);
	case FIELD_IP:
		return f->size == sizeof(struct ip);
	case FIELD_ARRAY:
		return f->element_size && f->element_size <= 8 && f->count &&
		       (uint64_t)f->count * f->element_size == f->size;
	case FIELD_HIST:
		return f->count && f->count <= SLOT_COUNT_MAX && f->size == 8 * (f->count + 1);
	case FIELD_STACK:
		return f->size == sizeof(struct stack) && f->element_size == 8;
	case FIELD_STACK_ID:
		return f->size == sizeof(struct stack_id);
	case FIELD_CHARS:
	case FIELD_BYTES:
	case FIELD_DERIVED:
		return true;
	case FIELD_RATIO: /* of metric tables, which are not recorded */
	case FIELD_TYPE_COUNT:
		break;
	}
	return false;
}

static void get_place(struct reader *r, struct field *f)
{
	uint64_t bools, enum_nth;

	f->flags = (unsigned)get(r, FIELD_HIDE | FIELD_FLAGS | FIELD_KEY | FIELD_COUNTER |
					    FIELD_GAUGE);
	f->offset = (uint32_t)get(r, STRUCT_BYTES_MAX);
	f->size = (uint32_t)get(r, STRUCT_BYTES_MAX);
	f->bits = (uint8_t)get(r, 64);
	f->bit_offset = (uint8_t)get(r, 7);
	bools = get(r, 3);
	f->is_signed = bools & 1;
	f->is_bool = bools & 2;
	f->element_size = (uint8_t)get(r, 8);
	f->member = (uint16_t)get(r, UINT16_MAX);
	f->count = (uint32_t)get(r, STRUCT_BYTES_MAX);
	enum_nth = get(r, r->enum_count);
	if (enum_nth)
		f->names = r->enums[enum_nth - 1];
}

static void get_field(struct reader *r, const struct schema *s, struct field *f)
{
	const char *kind;

	f->name = get_name(r);
	f->doc = get_text(r);
	f->unit = get_text(r);
	kind = get_text(r);
	f->type = (enum field_type)get(r, FIELD_TYPE_COUNT - 1);
	get_place(r, f);
	if (!layout_is_right(f) ||
	    (f->type != FIELD_DERIVED && (uint64_t)f->offset + f->size > s->size))
		spoil(r, "a field's size or place is wrong");
	f->kind = kind_find(kind);
	if (!f->kind || !kind_fits(f->kind, f->type))
		f->kind = kind_default(f->type, f->is_bool);
	if (f->type == FIELD_HIST && !r->wrong)
		get_hist(r, f);
}

/* Derived fields are numbered from 0: row_value() looks their values up by it. */
static void derived_check(struct reader *r, const struct schema *s)
{
	uint32_t nth = 0;

	for (size_t i = 0; i < s->field_count; i++)
		if (s->fields[i].type == FIELD_DERIVED && s->fields[i].offset != nth++)
			spoil(r, "derived fields are out of order");
}

static void get_schema(struct reader *r, struct schema *s)
{
	struct field *fields;

	if (get(r, UINT64_MAX) != DESCRIBE_VERSION)
		spoil(r, "it was written by a newer sonda");
	s->probe = get_text(r);
	s->name = get_text(r);
	s->doc = get_text(r);
	s->size = (uint32_t)get(r, STRUCT_BYTES_MAX);
	r->enum_count = get(r, ENUM_COUNT_MAX);
	r->enums = arena_alloc(r->arena, (r->enum_count + 1) * sizeof(struct names *));
	for (uint64_t i = 0; i < r->enum_count && !r->wrong; i++)
		r->enums[i] = get_names(r);
	s->field_count = get(r, FIELD_COUNT_MAX);
	fields = arena_alloc(r->arena, s->field_count * sizeof(*fields) + 1);
	s->fields = fields;
	for (size_t i = 0; i < s->field_count && !r->wrong; i++)
		get_field(r, s, &fields[i]);
	if (!r->wrong)
		derived_check(r, s);
}

int schema_decode(const void *bytes, size_t len, struct schema **ret_schema, size_t *ret_used,
		  struct err *e)
{
	auto_ptr(schema) s = owned_schema_new();
	struct reader r = { .at = bytes, .arena = owned_schema_arena(s) };

	assert(bytes || !len);
	r.end = r.at + len;
	get_schema(&r, s);
	if (r.wrong)
		return fail(e, EINVAL, "malformed schema: %s", r.wrong);
	*ret_used = (size_t)(r.at - (const unsigned char *)bytes);
	*ret_schema = TAKE_PTR(s);
	return 0;
}
