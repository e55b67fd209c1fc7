/* SPDX-License-Identifier: BSD-2-Clause */
/* BTF, read with every offset, count and chain bounded. The format: Documentation/bpf/btf.rst. */
#include "bpf/types.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <linux/btf.h>

#include "base/err.h"

enum {
	CHAIN_MAX = 32,      /* typedefs and modifiers in a row */
	NESTING_MAX = 16,    /* anonymous structs within structs, arrays of arrays */
	TYPES_MAX = 4000000, /* no kernel comes near */
	LOOKS_MAX = 100000,  /* members looked at for one name */
};

struct tag {
	uint32_t type;
	int32_t component;
	uint32_t id;      /* of the tag itself: keeps the order written */
	const char *text; /* behind the '@' */
};

struct types {
	unsigned char *owned;    /* NULL when the bytes are borrowed */
	const unsigned char *at; /* the type section */
	const char *strings;
	uint32_t strings_size; /* the last byte is NUL */
	uint32_t *offset;      /* of each type in the section; [0] is void */
	uint32_t count;        /* with void */
	struct tag *tags;      /* sorted by type, component, id */
	uint32_t tag_count;
};

/* What follows a type's twelve bytes: `each` bytes for every one of its vlen, and `fixed` ones. */
static const struct {
	uint8_t each, fixed;
} extras[TYPE_KIND_COUNT] = {
	[TYPE_INT] = { 0, 4 },      [TYPE_ARRAY] = { 0, sizeof(struct btf_array) },
	[TYPE_STRUCT] = { 12, 0 },  [TYPE_UNION] = { 12, 0 },
	[TYPE_ENUM] = { 8, 0 },     [TYPE_FUNC_PROTO] = { 8, 0 },
	[TYPE_VAR] = { 0, 4 },      [TYPE_SECTION] = { 12, 0 },
	[TYPE_DECL_TAG] = { 0, 4 }, [TYPE_ENUM64] = { 12, 0 },
};

static uint32_t raw_kind(const struct btf_type *b)
{
	return BTF_INFO_KIND(b->info);
}

static const struct btf_type *raw_at(const struct types *t, uint32_t id)
{
	return (const void *)(t->at + t->offset[id]);
}

/* The nth of the entries behind a type; all kinds' entries begin with the offset of their name. */
static const void *raw_entry(const struct types *t, const struct type *type, uint32_t nth)
{
	const struct btf_type *b = raw_at(t, type->id);

	return (const char *)(b + 1) + (size_t)nth * extras[type->kind].each;
}

static const char *string_at(const struct types *t, uint32_t offset)
{
	return offset < t->strings_size ? t->strings + offset : "";
}

static int sections_find(struct types *t, const void *bytes, size_t size, uint32_t *ret_types_size,
			 struct err *e)
{
	const struct btf_header *h = bytes;
	uint64_t types_end, strings_end;

	if (size < sizeof(*h) || h->magic != BTF_MAGIC)
		return fail(e, EINVAL, "not BTF");
	if (h->version != BTF_VERSION || h->hdr_len < sizeof(*h) || h->hdr_len > size)
		return fail(e, EINVAL, "BTF of an unknown version");
	types_end = (uint64_t)h->hdr_len + h->type_off + h->type_len;
	strings_end = (uint64_t)h->hdr_len + h->str_off + h->str_len;
	if (types_end > size || strings_end > size || (h->hdr_len + h->type_off) % 4)
		return fail(e, EINVAL, "BTF sections lie outside its %zu bytes", size);
	t->at = (const unsigned char *)bytes + h->hdr_len + h->type_off;
	t->strings = (const char *)bytes + h->hdr_len + h->str_off;
	t->strings_size = h->str_len;
	if (!h->str_len || t->strings[0] || t->strings[h->str_len - 1])
		return fail(e, EINVAL, "BTF strings are not terminated");
	*ret_types_size = h->type_len;
	return 0;
}

static int types_index(struct types *t, uint32_t size, struct err *e)
{
	uint32_t at = 0, cap = size / 28 + 16, kind;
	const struct btf_type *b;
	uint64_t next;

	t->offset = xcalloc(cap, sizeof(*t->offset));
	for (t->count = 1; at < size; t->count++, at = (uint32_t)next) {
		if (size - at < sizeof(*b) || t->count >= TYPES_MAX)
			return fail(e, EINVAL, "BTF type %u is cut off", t->count);
		b = (const void *)(t->at + at);
		kind = raw_kind(b);
		if (kind == TYPE_VOID || kind >= TYPE_KIND_COUNT)
			return fail(e, EINVAL, "BTF type %u is of unknown kind %u", t->count, kind);
		next = (uint64_t)at + sizeof(*b) + extras[kind].fixed +
		       (uint64_t)extras[kind].each * BTF_INFO_VLEN(b->info);
		if (next > size)
			return fail(e, EINVAL, "BTF type %u is cut off", t->count);
		if (t->count == cap)
			t->offset = xreallocarray(t->offset, cap *= 2, sizeof(*t->offset));
		t->offset[t->count] = at;
		t->tag_count += kind == TYPE_DECL_TAG;
	}
	return 0;
}

static int tag_compare(const void *a, const void *b)
{
	const struct tag *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->component != y->component)
		return x->component < y->component ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void tags_index(struct types *t)
{
	uint32_t n = 0;
	const char *text;

	t->tags = xcalloc(t->tag_count + 1, sizeof(*t->tags));
	for (uint32_t id = 1; id < t->count; id++) {
		const struct btf_type *b = raw_at(t, id);

		if (raw_kind(b) != TYPE_DECL_TAG)
			continue;
		text = string_at(t, b->name_off);
		if (text[0] == '@')
			t->tags[n++] =
				(struct tag){ b->type, *(const int32_t *)(b + 1), id, text + 1 };
	}
	t->tag_count = n;
	qsort(t->tags, n, sizeof(*t->tags), tag_compare);
}

int types_new(const void *bytes, size_t size, bool borrow, struct types **ret_types, struct err *e)
{
	auto_ptr(types) t = xnew(struct types);
	uint32_t types_size = 0;

	assert(bytes || !size);
	if (!borrow || (uintptr_t)bytes % 4)
		bytes = t->owned = xmemdup(bytes, size);
	if (sections_find(t, bytes, size, &types_size, e) < 0 || types_index(t, types_size, e) < 0)
		return -e->code;
	tags_index(t);
	*ret_types = TAKE_PTR(t);
	return 0;
}

void types_free(struct types *t)
{
	if (!t)
		return;
	free(t->owned);
	free(t->offset);
	free(t->tags);
	free(t);
}

uint32_t types_count(const struct types *t)
{
	return t->count;
}

/* What only some kinds have. */
static void type_fill(const struct btf_type *b, struct type *type)
{
	const struct btf_array *array = (const void *)(b + 1);
	const uint32_t *encoding = (const void *)(b + 1);

	switch (type->kind) {
	case TYPE_INT:
		type->is_signed = BTF_INT_ENCODING(*encoding) & BTF_INT_SIGNED;
		type->is_bool = BTF_INT_ENCODING(*encoding) & BTF_INT_BOOL;
		type->bits = BTF_INT_BITS(*encoding);
		type->bit_offset = (uint8_t)BTF_INT_OFFSET(*encoding);
		break;
	case TYPE_ENUM:
	case TYPE_ENUM64:
		type->is_signed = BTF_INFO_KFLAG(b->info);
		break;
	case TYPE_ARRAY:
		type->target = array->type;
		type->count = array->nelems;
		break;
	case TYPE_DECL_TAG:
		type->component = *(const int32_t *)(b + 1);
		break;
	case TYPE_VOID:
	case TYPE_PTR:
	case TYPE_STRUCT:
	case TYPE_UNION:
	case TYPE_FORWARD:
	case TYPE_TYPEDEF:
	case TYPE_VOLATILE:
	case TYPE_CONST:
	case TYPE_RESTRICT:
	case TYPE_FUNC:
	case TYPE_FUNC_PROTO:
	case TYPE_VAR:
	case TYPE_SECTION:
	case TYPE_FLOAT:
	case TYPE_TYPE_TAG:
	case TYPE_KIND_COUNT:
		break;
	}
}

/* Kinds whose third word is a size; in the others it is a type. */
static const unsigned sized_kinds = 1u << TYPE_INT | 1u << TYPE_STRUCT | 1u << TYPE_UNION |
				    1u << TYPE_ENUM | 1u << TYPE_SECTION | 1u << TYPE_FLOAT |
				    1u << TYPE_ENUM64;

/* Kinds with an entry of 4 or more bytes behind them. */
static bool kind_has_extra(uint32_t kind)
{
	return extras[kind].fixed != 0;
}

bool types_get(const struct types *t, uint32_t id, struct type *ret_type)
{
	const struct btf_type *b;
	uint32_t kind;

	if (!id || id >= t->count)
		return false;
	b = raw_at(t, id);
	kind = raw_kind(b);
	*ret_type = (struct type){ .id = id, .kind = (enum type_kind)kind, .component = -1 };
	ret_type->name = string_at(t, b->name_off);
	if (sized_kinds & 1u << kind)
		ret_type->size = b->size;
	else
		ret_type->target = b->type;
	if (extras[kind].each)
		ret_type->count = BTF_INFO_VLEN(b->info);
	if (kind_has_extra(kind) || kind == TYPE_ENUM || kind == TYPE_ENUM64)
		type_fill(b, ret_type);
	return true;
}

uint32_t types_find(const struct types *t, const char *name, enum type_kind kind)
{
	for (uint32_t id = 1; id < t->count; id++) {
		const struct btf_type *b = raw_at(t, id);

		if (raw_kind(b) == (uint32_t)kind && !strcmp(string_at(t, b->name_off), name))
			return id;
	}
	return 0;
}

static bool kind_is_alias(enum type_kind kind)
{
	return kind == TYPE_TYPEDEF || kind == TYPE_VOLATILE || kind == TYPE_CONST ||
	       kind == TYPE_RESTRICT || kind == TYPE_TYPE_TAG;
}

uint32_t types_resolve(const struct types *t, uint32_t id)
{
	struct type type;

	for (int depth = 0; depth < CHAIN_MAX; depth++) {
		if (!types_get(t, id, &type))
			return 0;
		if (!kind_is_alias(type.kind))
			return id;
		id = type.target;
	}
	return 0;
}

bool types_get_resolved(const struct types *t, uint32_t id, struct type *ret_type)
{
	return types_get(t, types_resolve(t, id), ret_type);
}

uint32_t types_size(const struct types *t, uint32_t id)
{
	uint64_t size = 1;
	struct type type;

	for (int depth = 0; depth < NESTING_MAX; depth++) {
		if (!types_get_resolved(t, id, &type))
			return 0;
		if (type.kind == TYPE_VAR) {
			id = type.target;
			continue;
		}
		if (type.kind == TYPE_ARRAY) {
			size *= type.count;
			id = type.target;
		} else {
			size *= type.kind == TYPE_PTR ? 8 : type.size;
		}
		if (size > UINT32_MAX)
			return 0;
		if (type.kind != TYPE_ARRAY)
			return (uint32_t)size;
	}
	return 0;
}

bool types_member(const struct types *t, const struct type *s, uint32_t nth,
		  struct type_member *ret_member)
{
	const struct btf_member *m;
	bool packed;

	if ((s->kind != TYPE_STRUCT && s->kind != TYPE_UNION) || nth >= s->count)
		return false;
	m = raw_entry(t, s, nth);
	packed = BTF_INFO_KFLAG(raw_at(t, s->id)->info);
	ret_member->name = string_at(t, m->name_off);
	ret_member->type = m->type;
	ret_member->offset_bits = packed ? BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset;
	ret_member->bits = packed ? BTF_MEMBER_BITFIELD_SIZE(m->offset) : 0;
	return true;
}

bool types_enum(const struct types *t, const struct type *en, uint32_t nth,
		struct type_enum *ret_value)
{
	const struct btf_enum64 *wide;
	const struct btf_enum *narrow;

	if ((en->kind != TYPE_ENUM && en->kind != TYPE_ENUM64) || nth >= en->count)
		return false;
	if (en->kind == TYPE_ENUM64) {
		wide = raw_entry(t, en, nth);
		ret_value->name = string_at(t, wide->name_off);
		ret_value->value = (uint64_t)wide->val_hi32 << 32 | wide->val_lo32;
		return true;
	}
	narrow = raw_entry(t, en, nth);
	ret_value->name = string_at(t, narrow->name_off);
	ret_value->value = en->is_signed ? (uint64_t)(int64_t)narrow->val : (uint32_t)narrow->val;
	return true;
}

bool types_var(const struct types *t, const struct type *section, uint32_t nth,
	       struct type_var *ret_var)
{
	const struct btf_var_secinfo *v;
	struct type var;

	if (section->kind != TYPE_SECTION || nth >= section->count)
		return false;
	v = raw_entry(t, section, nth);
	if (!types_get(t, v->type, &var) || var.kind != TYPE_VAR)
		return false;
	*ret_var = (struct type_var){ var.name, v->type, var.target, v->offset, v->size };
	return true;
}

static bool member_find(const struct types *t, const struct type *s, const char *name, int depth,
			unsigned *looks, struct type_member *ret_member)
{
	struct type_member m, within;
	struct type inner;

	for (uint32_t i = 0; *looks && types_member(t, s, i, &m); i++) {
		--*looks;
		if (m.name[0] && !strcmp(m.name, name)) {
			*ret_member = m;
			return true;
		}
		if (m.name[0] || depth == NESTING_MAX || !types_get_resolved(t, m.type, &inner) ||
		    !member_find(t, &inner, name, depth + 1, looks, &within))
			continue;
		*ret_member = within;
		ret_member->offset_bits += m.offset_bits;
		return true;
	}
	return false;
}

bool types_member_named(const struct types *t, const struct type *s, const char *name,
			struct type_member *ret_member)
{
	unsigned looks = LOOKS_MAX;

	return member_find(t, s, name, 0, &looks, ret_member);
}

/* Index of the first tag on that place, or tag_count. */
static uint32_t tags_begin(const struct types *t, uint32_t id, int32_t component)
{
	struct tag key = { .type = id, .component = component };
	uint32_t low = 0, high = t->tag_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (tag_compare(&t->tags[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *types_tag_nth(const struct types *t, uint32_t id, int32_t component, unsigned nth)
{
	uint64_t at = (uint64_t)tags_begin(t, id, component) + nth;

	if (at >= t->tag_count || t->tags[at].type != id || t->tags[at].component != component)
		return NULL;
	return t->tags[at].text;
}

const char *types_tag(const struct types *t, uint32_t id, int32_t component, const char *key,
		      unsigned nth)
{
	size_t len = strlen(key);
	const char *text;

	for (unsigned i = 0; (text = types_tag_nth(t, id, component, i)); i++) {
		if (strncmp(text, key, len) || (text[len] != ' ' && text[len]))
			continue;
		if (!nth--)
			return text[len] ? text + len + 1 : text + len;
	}
	return NULL;
}
