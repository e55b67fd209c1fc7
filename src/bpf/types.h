/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Types as BTF tells them: a bounded reader that never trusts its input (objects are foreign). One
 * reader serves probe objects and the kernel. Ids go from 1 to types_count() - 1; 0 is void. What is
 * asked outside the bounds answers "no such thing"; nothing here fails after types_new().
 * Strings are borrowed and live as long as the reader. Immutable once made: any thread may read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct types;

/* The numbers are BTF's own. */
enum type_kind {
	TYPE_VOID,
	TYPE_INT,
	TYPE_PTR,
	TYPE_ARRAY,
	TYPE_STRUCT,
	TYPE_UNION,
	TYPE_ENUM,
	TYPE_FORWARD,
	TYPE_TYPEDEF,
	TYPE_VOLATILE,
	TYPE_CONST,
	TYPE_RESTRICT,
	TYPE_FUNC,
	TYPE_FUNC_PROTO,
	TYPE_VAR,
	TYPE_SECTION, /* DATASEC */
	TYPE_FLOAT,
	TYPE_DECL_TAG,
	TYPE_TYPE_TAG,
	TYPE_ENUM64,
	TYPE_KIND_COUNT,
};

struct type {
	uint32_t id;
	enum type_kind kind;
	const char *name; /* "" when it has none */
	uint32_t size;    /* bytes: int, float, enum, struct, union, section; else 0 */
	uint32_t target;  /* type id: of ptr, typedef, modifier, var, func, decl tag; element of an
			      array; returned by a func_proto */
	uint32_t count;   /* members, enum values, parameters, variables of a section, elements */
	bool is_signed;   /* int, enum */
	bool is_bool;     /* int */
	uint8_t bits;     /* int: significant bits */
	uint8_t bit_offset; /* int */
	int32_t component;  /* decl tag: member or parameter, -1 for the whole */
};

struct type_member { /* of a struct or union */
	const char *name;
	uint32_t type;
	uint32_t offset_bits; /* from the struct's first byte; little endian */
	uint32_t bits;        /* size of a bit-field; 0: it is none */
};

struct type_enum {
	const char *name;
	uint64_t value; /* sign-extended when the enum is signed */
};

struct type_var { /* of a section */
	const char *name;
	uint32_t var;    /* id of the VAR (tags stand on it) */
	uint32_t type;   /* id of what it holds */
	uint32_t offset; /* in the section */
	uint32_t size;   /* bytes */
};

/* Reads raw BTF. `bytes` are copied, unless `borrow` (then they must outlive the reader).
 * Errors: EINVAL (not BTF, or malformed: what and where). */
MUST_USE int types_new(const void *bytes, size_t size, bool borrow, struct types **ret_types,
		       struct err *e);
void types_free(struct types *t);
AUTO_PTR(types)

MUST_USE uint32_t types_count(const struct types *t);

/* False when there is no such id (or it is 0). */
MUST_USE bool types_get(const struct types *t, uint32_t id, struct type *ret_type);

/* Id of the first type of that name and kind; 0: none. Looks at every type. */
MUST_USE uint32_t types_find(const struct types *t, const char *name, enum type_kind kind);

/* Past typedefs, const, volatile, restrict and type tags. 0: void, no such id, or a chain that is
 * too long. */
MUST_USE uint32_t types_resolve(const struct types *t, uint32_t id);
/* types_resolve() and types_get() in one. */
MUST_USE bool types_get_resolved(const struct types *t, uint32_t id, struct type *ret_type);

/* Bytes that a value of this type takes; 0: not known, or more than 4 GB. */
MUST_USE uint32_t types_size(const struct types *t, uint32_t id);

/* The nth part of a type that types_get() gave; false when there is none, or it is of another kind. */
MUST_USE bool types_member(const struct types *t, const struct type *s, uint32_t nth,
			   struct type_member *ret_member);
MUST_USE bool types_enum(const struct types *t, const struct type *en, uint32_t nth,
			 struct type_enum *ret_value);
MUST_USE bool types_var(const struct types *t, const struct type *section, uint32_t nth,
			struct type_var *ret_var);
/* Member of that name, looked for in anonymous structs and unions too; offsets are from `s`. */
MUST_USE bool types_member_named(const struct types *t, const struct type *s, const char *name,
				 struct type_member *ret_member);

/* What a declaration tag "@key text" says on a type (component -1) or on its nth member. The text,
 * "" when only the key is there; NULL when there is no such tag. `nth` counts tags of that key: most
 * are asked with 0; "need" may stand several times. */
MUST_USE const char *types_tag(const struct types *t, uint32_t id, int32_t component,
			       const char *key, unsigned nth);
/* Every tag that begins with '@', in the order written, without the '@' ("doc Files opened"); NULL at
 * the end. For who wants to refuse what it doesn't know. */
MUST_USE const char *types_tag_nth(const struct types *t, uint32_t id, int32_t component,
				   unsigned nth);
