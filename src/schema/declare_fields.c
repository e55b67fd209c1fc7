/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A struct's members become fields. A nested struct is flattened: its members are fields of their
 * own names, unless one of those is taken (by an earlier field, or by a plain member of the struct
 * around it); then all of them get the member's name and a '_' in front. Members named pad, pad2
 * ... or beginning with '_' are no fields.
 */
#include "schema/declare.h"

#include <assert.h>
#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "schema/kind.h"
#include "schema/names.h"

typedef vec(struct field) fields;

/* Keys of the JSON object around every row. */
static const char *const taken_names[] = { "time", "probe" };

static const char *const member_tags[] = { "doc", "kind", "unit",  "hide",  "flags",   "key",
					   "as",  "hist", "range", "param", "required" };
static const char *const units[] = { "ns",    "us",      "ms",      "s",  "bytes",
				     "pages", "sectors", "percent", "hz", "512B" };

int declare_text(struct declarer *d, uint32_t id, int32_t component, const char *key,
		 const char **ret_text, struct err *e)
{
	const char *text = types_tag(d->types, id, component, key, 0);

	if (text && !*text)
		return fail(e, EINVAL, "its \"%s\" says nothing", key);
	if (text && strnlen(text, TEXT_LEN_MAX + 1) > TEXT_LEN_MAX)
		return fail(e, EINVAL, "its \"%s\" is longer than %d bytes", key, TEXT_LEN_MAX);
	*ret_text = text ? arena_strdup(d->arena, text) : "";
	return 0;
}

static int int_type(struct declarer *d, const struct type *t, struct field *f, struct err *e)
{
	(void)d;
	if (t->size != 1 && t->size != 2 && t->size != 4 && t->size != 8)
		return fail(e, EINVAL, "a number of %u bytes (1, 2, 4 and 8 are read)", t->size);
	f->type = FIELD_INT;
	f->is_signed = t->is_signed;
	f->is_bool = t->is_bool;
	return 0;
}

/* Up to 4 bytes by its values: see declare_names(). */
static bool enum_is_signed(const struct type *t, const struct names *n)
{
	if (t->size > 4)
		return t->is_signed;
	for (size_t i = 0; i < n->count; i++)
		if ((int64_t)n->at[i].value < 0)
			return true;
	return false;
}

static int enum_type(struct declarer *d, const struct type *t, struct field *f, struct err *e)
{
	if (int_type(d, t, f, e) < 0)
		return -e->code;
	f->type = FIELD_ENUM;
	f->names = declare_names(d, t);
	f->is_signed = enum_is_signed(t, f->names);
	return 0;
}

/* u64 KIND("address") is the better way to write it. */
static int pointer_type(struct declarer *d, const struct type *t, struct field *f, struct err *e)
{
	(void)d, (void)t, (void)e;
	f->type = FIELD_INT;
	f->size = sizeof(uint64_t);
	f->kind = kind_find("address");
	return 0;
}

static bool is_char(const struct type *t)
{
	return t->kind == TYPE_INT && t->size == 1 && str_eq(t->name, "char");
}
static bool is_byte(const struct type *t)
{
	return t->kind == TYPE_INT && t->size == 1 && !t->is_signed && !t->is_bool;
}

static int array_type(struct declarer *d, const struct type *t, struct field *f, struct err *e)
{
	struct type of;
	uint64_t size;

	if (!types_get_resolved(d->types, t->target, &of) ||
	    (of.kind != TYPE_INT && of.kind != TYPE_ENUM && of.kind != TYPE_ENUM64))
		return fail(e, EINVAL, "an array of something else than numbers or char");
	if (int_type(d, &of, f, e) < 0)
		return -e->code;
	size = (uint64_t)of.size * t->count;
	if (!size || size > STRUCT_MAX)
		return fail(e, EINVAL, "an array of %u elements (1 to %d bytes in all)", t->count,
			    STRUCT_MAX);
	f->size = (uint32_t)size;
	f->type = is_char(&of) ? FIELD_CHARS : is_byte(&of) ? FIELD_BYTES : FIELD_ARRAY;
	f->is_bool = false;
	if (f->type == FIELD_ARRAY) {
		f->count = t->count;
		f->element_size = (uint8_t)of.size;
	} else {
		f->is_signed = false;
	}
	if (of.kind != TYPE_INT) {
		f->names = declare_names(d, &of);
		f->is_signed = enum_is_signed(&of, f->names);
	}
	return 0;
}

static int no_type(struct declarer *d, const struct type *t, struct field *f, struct err *e)
{
	static const char *const what[TYPE_KIND_COUNT] = {
		[TYPE_UNION] = "a union: nothing says which member holds",
		[TYPE_FLOAT] = "a floating-point number",
		[TYPE_FORWARD] = "a struct that isn't defined",
		[TYPE_STRUCT] = "a struct",
	};

	(void)d, (void)f;
	return fail(e, EINVAL, "it is %s",
		    (size_t)t->kind < ARRAY_LEN(what) && what[t->kind]
			    ? what[t->kind]
			    : "of no type that holds data");
}

static int field_type(struct declarer *d, uint32_t type_id, struct field *f, struct err *e)
{
	static int (*const by_kind[TYPE_KIND_COUNT])(struct declarer *, const struct type *,
						     struct field *, struct err *) = {
		[TYPE_INT] = int_type,     [TYPE_ENUM] = enum_type,   [TYPE_ENUM64] = enum_type,
		[TYPE_PTR] = pointer_type, [TYPE_ARRAY] = array_type,
	};
	struct type t;

	if (!types_get_resolved(d->types, type_id, &t))
		return fail(e, EINVAL, "its type isn't known");
	f->size = t.size;
	return (by_kind[t.kind] ? by_kind[t.kind] : no_type)(d, &t, f, e);
}

static bool in_list(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(word, list[i]))
			return true;
	return false;
}

/* Says what a tag is that isn't one of the language: most likely a slip. */
static int tags_known(struct declarer *d, uint32_t id, int32_t component, struct err *e)
{
	const char *tag, *near;
	char key[32];

	for (unsigned i = 0; (tag = types_tag_nth(d->types, id, component, i)); i++) {
		str_format(key, sizeof(key), "%.*s", (int)min(strcspn(tag, " "), (size_t)31), tag);
		if (in_list(key, member_tags, ARRAY_LEN(member_tags)))
			continue;
		near = suggest(key, member_tags, ARRAY_LEN(member_tags));
		return fail(e, EINVAL, "unknown tag '@%s'%s%s%s", key,
			    near ? " (did you mean '@" : "", near ? near : "", near ? "'?)" : "");
	}
	return 0;
}

static const char *type_noun(enum field_type type)
{
	static const char *const noun[] = {
		[FIELD_INT] = "a number",     [FIELD_ENUM] = "an enum",
		[FIELD_CHARS] = "a text",     [FIELD_TEXT] = "a text",
		[FIELD_BYTES] = "bytes",      [FIELD_IP] = "an address",
		[FIELD_ARRAY] = "an array",   [FIELD_DERIVED] = "derived",
		[FIELD_HIST] = "a histogram", [FIELD_STACK] = "a stack",
		[FIELD_STACK_ID] = "a stack", [FIELD_RATIO] = "a share",
	};

	static_assert(ARRAY_LEN(noun) == FIELD_TYPE_COUNT, "a noun for each type");
	return noun[type];
}

static int field_kind(struct declarer *d, uint32_t id, int32_t component, struct field *f,
		      struct err *e)
{
	const char *name, *near;
	const struct kind *k;

	if (declare_text(d, id, component, "kind", &name, e) < 0)
		return -e->code;
	if (!*name)
		return 0;
	k = kind_find(name);
	near = kind_suggest(name);
	if (!k)
		return fail(e, EINVAL, "unknown kind '%s'%s%s%s", name,
			    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
	/* u8 name[16] may hold a text, char mac[6] bytes */
	if (f->type == FIELD_BYTES && kind_fits(k, FIELD_CHARS))
		f->type = FIELD_CHARS;
	else if (f->type == FIELD_CHARS && kind_fits(k, FIELD_BYTES))
		f->type = FIELD_BYTES;
	if (!kind_fits(k, f->type))
		return fail(e, EINVAL, "kind '%s' (%s) is not for %s", name, k->doc,
			    type_noun(f->type));
	if (str_eq(name, "bool"))
		f->is_bool = true;
	f->kind = k;
	return 0;
}

/* The unit, the kind where only the unit says it, and whether they go together. */
static int field_unit(struct declarer *d, uint32_t id, int32_t component, struct field *f,
		      struct err *e)
{
	const struct kind *of_unit;

	if (declare_text(d, id, component, "unit", &f->unit, e) < 0)
		return -e->code;
	if (*f->unit && !in_list(f->unit, units, ARRAY_LEN(units)))
		return fail(e, EINVAL,
			    "unknown unit '%s' (ns us ms s bytes pages sectors percent hz)",
			    f->unit);
	of_unit = kind_of_unit(f->unit);
	if (!f->kind)
		f->kind = *f->unit && kind_fits(of_unit, f->type)
				  ? of_unit
				  : kind_default(f->type, f->is_bool);
	if (!*f->unit)
		f->unit = f->kind->unit;
	else if (*f->kind->unit && f->kind != of_unit)
		return fail(e, EINVAL, "unit '%s' contradicts kind '%s' (in %s)", f->unit,
			    f->kind->name, f->kind->unit);
	return 0;
}

static int field_flags(struct declarer *d, uint32_t id, int32_t component, struct field *f,
		       struct err *e)
{
	const char *as = types_tag(d->types, id, component, "as", 0);

	if (types_tag(d->types, id, component, "hide", 0))
		f->flags |= FIELD_HIDE;
	if (types_tag(d->types, id, component, "key", 0))
		f->flags |= FIELD_KEY;
	if (types_tag(d->types, id, component, "flags", 0))
		f->flags |= FIELD_FLAGS;
	if (f->flags & FIELD_FLAGS && f->type != FIELD_ENUM)
		return fail(e, EINVAL, "FLAGS is for enums, and this is %s", type_noun(f->type));
	if (!as)
		return 0;
	if (!str_eq(as, "counter") && !str_eq(as, "gauge"))
		return fail(e, EINVAL, "neither COUNTER nor GAUGE: '%s'", as);
	f->flags |= str_eq(as, "counter") ? FIELD_COUNTER : FIELD_GAUGE;
	return 0;
}

static int field_meaning(struct declarer *d, uint32_t id, int32_t component, struct field *f,
			 struct err *e)
{
	if (tags_known(d, id, component, e) < 0 ||
	    declare_text(d, id, component, "doc", &f->doc, e) < 0 ||
	    field_kind(d, id, component, f, e) < 0 || field_unit(d, id, component, f, e) < 0 ||
	    field_flags(d, id, component, f, e) < 0)
		return -e->code;
	return 0;
}

int declare_field(struct declarer *d, uint32_t id, int32_t component, uint32_t type_id,
		  struct field *f, struct err *e)
{
	if (field_type(d, type_id, f, e) < 0)
		return -e->code;
	return field_meaning(d, id, component, f, e);
}

/* Structs that are one value. */
static bool struct_type(const struct type *s, struct field *f)
{
	f->size = s->size;
	if (str_eq(s->name, "text") && s->size == sizeof(struct text))
		f->type = FIELD_TEXT;
	else if (str_eq(s->name, "ip") && s->size == sizeof(struct ip))
		f->type = FIELD_IP;
	else if (str_eq(s->name, "stack") && s->size == sizeof(struct stack))
		f->type = FIELD_STACK;
	else if (str_eq(s->name, "stack_id") && s->size == sizeof(struct stack_id))
		f->type = FIELD_STACK_ID;
	else
		return false;
	f->element_size = f->type == FIELD_STACK ? sizeof(uint64_t) : 0;
	return true;
}

/* Where in the struct; a bit-field is read from the bytes it touches. */
static int field_place(const struct type_member *m, uint32_t base_bits, struct field *f,
		       struct err *e)
{
	uint64_t bits = (uint64_t)base_bits + m->offset_bits;

	if (!m->bits && bits % 8)
		return fail(e, EINVAL, "it doesn't begin at a byte");
	if (m->bits && f->type != FIELD_INT && f->type != FIELD_ENUM)
		return fail(e, EINVAL, "it is a bit-field, but no number");
	f->offset = (uint32_t)(bits / 8);
	if (m->bits) {
		f->bits = (uint8_t)m->bits;
		f->bit_offset = (uint8_t)(bits % 8);
		f->size = (f->bit_offset + m->bits + 7) / 8;
		if (m->bits > 64 || f->size > 8)
			return fail(e, EINVAL, "a bit-field that spans more than 8 bytes");
	}
	return 0;
}

static bool is_padding(const char *name)
{
	const char *rest = str_after(name, "pad");

	return *name == '_' || (rest && !rest[strspn(rest, "0123456789")]);
}

/* A struct being read, and where it lies in the whole one. */
struct level {
	struct type type;
	uint32_t base_bits;
	unsigned depth;
	unsigned flags; /* that its members inherit */
	int member;     /* of the whole struct; -1: this is the whole one */
};

static int struct_fields(struct declarer *d, const struct level *at, fields *to, struct err *e);

static bool has_field(const fields *list, const char *name)
{
	for (size_t i = 0; i < list->len; i++)
		if (str_eq(list->at[i].name, name))
			return true;
	return false;
}

/* Is `name` one of the struct's own plain members? */
static bool is_plain_member(struct declarer *d, const struct type *s, const char *name)
{
	struct type_member m;
	struct type t;
	struct field unused;

	for (uint32_t i = 0; types_member(d->types, s, i, &m); i++)
		if (str_eq(m.name, name) && types_get_resolved(d->types, m.type, &t))
			return t.kind != TYPE_STRUCT || struct_type(&t, &unused) ||
			       types_tag(d->types, s->id, (int32_t)i, "hist", 0);
	return false;
}

static int nested_fields(struct declarer *d, const struct level *at, const struct level *inner,
			 const char *name, fields *to, struct err *e)
{
	fields own = { 0 };
	bool clash = false;

	if (struct_fields(d, inner, &own, e) < 0) {
		vec_done(&own);
		return -e->code;
	}
	for (size_t i = 0; i < own.len; i++)
		clash |= has_field(to, own.at[i].name) ||
			 is_plain_member(d, &at->type, own.at[i].name);
	for (size_t i = 0; i < own.len; i++) {
		if (clash && *name)
			own.at[i].name = arena_printf(d->arena, "%s_%s", name, own.at[i].name);
		vec_push(to, own.at[i]);
	}
	vec_done(&own);
	return 0;
}

/* A member that is a struct: one value, a histogram, or fields of its own (*ret_nested). */
static int struct_member(struct declarer *d, const struct level *at, uint32_t nth,
			 const struct type *s, struct field *f, bool *ret_nested, struct err *e)
{
	const char *hist = types_tag(d->types, at->type.id, (int32_t)nth, "hist", 0);

	*ret_nested = false;
	if (hist)
		return declare_hist(d, hist, s, f, e) < 0
			       ? -e->code
			       : field_meaning(d, at->type.id, (int32_t)nth, f, e);
	if (struct_type(s, f))
		return field_meaning(d, at->type.id, (int32_t)nth, f, e);
	*ret_nested = true;
	if (at->depth >= NESTED_MAX)
		return fail(e, EINVAL, "structs are nested more than %d deep", NESTED_MAX);
	return 0;
}

/* What a nested struct may say: HIDE and KEY, for all its members. */
static int nested_flags(struct declarer *d, uint32_t id, int32_t component, unsigned *flags,
			struct err *e)
{
	static const char *const others[] = { "kind", "unit", "flags", "as", "range" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (types_tag(d->types, id, component, others[i], 0))
			return fail(e, EINVAL, "'@%s' is not for a struct, but for its members",
				    others[i]);
	if (types_tag(d->types, id, component, "hide", 0))
		*flags |= FIELD_HIDE;
	if (types_tag(d->types, id, component, "key", 0))
		*flags |= FIELD_KEY;
	return 0;
}

static int member_fields(struct declarer *d, const struct level *at, uint32_t nth,
			 const struct type_member *m, fields *to, struct err *e)
{
	struct field f = { .unit = "", .flags = at->flags, .member = (uint16_t)at->member };
	struct level inner = *at;
	bool nested = false;
	struct type t;

	if (at->member < 0)
		inner.member = f.member = (uint16_t)nth;
	if (!types_get_resolved(d->types, m->type, &t))
		return fail(e, EINVAL, "its type isn't known");
	if (t.kind == TYPE_STRUCT) {
		if (struct_member(d, at, nth, &t, &f, &nested, e) < 0)
			return -e->code;
	} else if (!*m->name && t.kind != TYPE_UNION) {
		return 0; /* a bit-field that only takes room */
	} else if (declare_field(d, at->type.id, (int32_t)nth, m->type, &f, e) < 0) {
		return -e->code;
	}
	if (nested) {
		inner.type = t;
		inner.depth++;
		inner.base_bits += m->offset_bits;
		if (tags_known(d, at->type.id, (int32_t)nth, e) < 0 ||
		    nested_flags(d, at->type.id, (int32_t)nth, &inner.flags, e) < 0)
			return -e->code;
		return nested_fields(d, at, &inner, m->name, to, e);
	}
	if (!name_is_identifier(m->name))
		return fail(e, EINVAL, "a member needs a name of letters, digits and _");
	f.name = arena_strdup(d->arena, m->name);
	if (field_place(m, at->base_bits, &f, e) < 0)
		return -e->code;
	vec_push(to, f);
	return 0;
}

static int struct_fields(struct declarer *d, const struct level *at, fields *to, struct err *e)
{
	struct type_member m;

	if (at->type.count > FIELDS_MAX || at->type.count > d->members_left)
		return fail(e, EINVAL, "more than %d fields", FIELDS_MAX);
	d->members_left -= at->type.count;
	for (uint32_t i = 0; types_member(d->types, &at->type, i, &m); i++) {
		if (is_padding(m.name))
			continue;
		if (to->len >= FIELDS_MAX)
			return fail(e, EINVAL, "more than %d fields", FIELDS_MAX);
		if (member_fields(d, at, i, &m, to, e) < 0)
			return wrap(e, "'%s'", *m.name ? m.name : "(anonymous)");
	}
	return 0;
}

static int field_allowed(const struct schema *s, const struct field *f, enum struct_use use,
			 struct err *e)
{
	if ((uint64_t)f->offset + f->size > s->size)
		return fail(e, EINVAL, "'%s' lies outside the struct", f->name);
	if (f->type == FIELD_TEXT && use != USE_EVENT && use != USE_ROW)
		return fail(e, EINVAL, "'%s': struct text is for events and rows; use char %s[N]",
			    f->name, f->name);
	if (f->type == FIELD_STACK && use != USE_EVENT)
		return fail(e, EINVAL,
			    "'%s': struct stack is for events only; a label is a struct stack_id",
			    f->name);
	if (f->type == FIELD_STACK_ID && use != USE_LABELS)
		return fail(e, EINVAL,
			    "'%s': struct stack_id is for labels only; an event has struct stack",
			    f->name);
	if (f->type == FIELD_HIST && use != USE_VALUES)
		return fail(e, EINVAL, "'%s': histograms are for the values of METRICS", f->name);
	if (use == USE_EVENT && in_list(f->name, taken_names, ARRAY_LEN(taken_names)))
		return fail(e, EINVAL, "'%s': every row has that already; choose another name",
			    f->name);
	return 0;
}

static int fields_check(const struct schema *s, enum struct_use use, struct err *e)
{
	for (size_t i = 0; i < s->field_count; i++) {
		if (field_allowed(s, &s->fields[i], use, e) < 0)
			return -e->code;
		for (size_t j = 0; j < i; j++)
			if (str_eq(s->fields[i].name, s->fields[j].name))
				return fail(e, EINVAL, "two fields are named '%s'",
					    s->fields[i].name);
	}
	return 0;
}

int declare_struct(struct declarer *d, uint32_t id, enum struct_use use, struct schema *ret_schema,
		   struct err *e)
{
	struct level whole = { .member = -1 };
	fields list = { 0 };
	struct schema s = { .probe = d->probe, .type_id = id };
	int err;

	if (!types_get_resolved(d->types, id, &whole.type) || whole.type.kind != TYPE_STRUCT)
		return fail(e, EINVAL, "it is no struct");
	s.name = arena_strdup(d->arena, whole.type.name);
	s.doc = "";
	s.size = whole.type.size;
	if (!s.size || s.size > STRUCT_MAX)
		return fail(e, EINVAL, "it has %u bytes (1 to %d are read)", s.size, STRUCT_MAX);
	err = struct_fields(d, &whole, &list, e);
	if (!err) {
		s.fields = (const struct field *)arena_memdup(d->arena, list.at,
							      list.len * sizeof(*list.at));
		s.field_count = list.len;
		err = fields_check(&s, use, e);
	}
	vec_done(&list);
	if (!err)
		*ret_schema = s;
	return err;
}
