/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The parts of reading a declaration, for this folder: declaration.c (the probe, its events and
 * rows), declare_fields.c (a struct's members), declare_tables.c (metric tables), declare_params.c.
 * All is allocated in one arena, whatever happens.
 */
#include "base/arena.h"
#include "base/map.h"
#include "bpf/object.h"
#include "bpf/types.h"
#include "schema/schema.h"

struct err;

/* Bounds on what a foreign object may ask for. */
enum {
	FIELDS_MAX = 512,  /* of one struct, nested ones included */
	NESTED_MAX = 8,    /* structs within structs */
	SCHEMAS_MAX = 128, /* events and rows of a probe, and its tables */
	PARAMS_MAX = 128,
	STRUCT_MAX = 65536,  /* bytes */
	SLOTS_MAX = 4096,    /* of a histogram */
	RATIOS_MAX = 64,     /* of all tables */
	LABELS_MAX = 512,    /* bytes of a table's key: what a BPF program's stack holds */
	TEXT_LEN_MAX = 4096, /* of a DOC and the like */
	ENUMERATORS_MAX = 4096,
	MEMBERS_MAX = 100000, /* of all structs of an object */
};

struct declarer {
	const struct object *object;
	const struct types *types;
	struct arena *arena;
	struct map names; /* BTF id of an enum -> struct names * */
	const char *probe;
	unsigned
		members_left; /* that may still be looked at: structs may nest the same one often */
};

/* What a struct is read for: each allows other members. */
enum struct_use {
	USE_EVENT,
	USE_ROW,
	USE_LABELS,
	USE_VALUES,
	USE_COUNT,
};

/* A tag's text copied, "" when it isn't there. Errors: EINVAL (there but empty, too long). */
MUST_USE int declare_text(struct declarer *d, uint32_t id, int32_t component, const char *key,
			  const char **ret_text, struct err *e);

/* The schema of struct `id`. `name` and `doc` are borrowed. */
MUST_USE int declare_struct(struct declarer *d, uint32_t id, enum struct_use use,
			    struct schema *ret_schema, struct err *e);

/* The type, kind, unit and flags of what stands under the tags of (`id`, `component`) and has type
 * `type_id`: fills all of `f` but its place. Not for structs. */
MUST_USE int declare_field(struct declarer *d, uint32_t id, int32_t component, uint32_t type_id,
			   struct field *f, struct err *e);

/* Reads FIELD_HIST's shape from the member's "hist" tag and its struct. */
MUST_USE int declare_hist(struct declarer *d, const char *tag, const struct type *s,
			  struct field *f, struct err *e);

/* Adds what RATIO declares to the values of the tables. */
MUST_USE int declare_ratios(struct declarer *d, struct metric_table *tables, size_t count,
			    struct err *e);

/* Names of an enum's values: the running kernel's where it has the same enum, else the object's. */
MUST_USE const struct names *declare_names(struct declarer *d, const struct type *en);

MUST_USE int declare_tables(struct declarer *d, struct declaration *to, struct err *e);
MUST_USE int declare_params(struct declarer *d, struct declaration *to, struct err *e);

/* A number as C writes it ("10", "0x10", "1000ul", "(64)", "-5"); *text is moved behind it and the
 * blanks after it. False when there is none. */
MUST_USE bool declare_number(const char **text, int64_t *ret_value);
