/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What a probe declares, as userland sees it: events, rows, metric tables, parameters, and the
 * fields of each. Made from an object's BTF (declaration.h), from a recording, or from rows in a
 * table of our own (fields that enrichers add). Immutable once made, so any thread may read it.
 * Sinks, filters and folds see only schemas and rows: nothing here knows a particular probe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/record.h"
#include "base/attr.h"
#include "base/mem.h"
#include "schema/value.h"

struct row;
struct field;
struct kind;
struct strbuf;

/* How the bytes of a field are read. */
enum field_type {
	FIELD_INT,      /* 1 to 8 bytes, or a bit-field; is_signed, is_bool */
	FIELD_ENUM,     /* an int with names */
	FIELD_CHARS,    /* char[n], NUL-terminated or full */
	FIELD_TEXT,     /* struct text: variable, behind the struct */
	FIELD_BYTES,    /* u8[n] */
	FIELD_IP,       /* struct ip */
	FIELD_ARRAY,    /* integers: `count` of element_size each */
	FIELD_DERIVED,  /* no bytes in the record: `derive` gives the value */
	FIELD_HIST,     /* a histogram in a metric table's value: u64 sum, u64 slots[count] */
	FIELD_STACK,    /* struct stack: addresses behind the struct; `element_size` 8 */
	FIELD_STACK_ID, /* struct stack_id: of a stack that the probe keeps */
	FIELD_RATIO,    /* of two values of a metric table: see struct ratio_shape */
	FIELD_TYPE_COUNT,
};

enum field_flag {
	FIELD_HIDE = 1 << 0,    /* not in text output unless asked for */
	FIELD_FLAGS = 1 << 1,   /* an enum of bits, printed a|b */
	FIELD_KEY = 1 << 2,     /* identifies a row between snapshots */
	FIELD_COUNTER = 1 << 3, /* only grows */
	FIELD_GAUGE = 1 << 4,
};

/* Names of an enum's values: the common prefix is cut, lower case. Sorted by value, one name
 * each. */
struct names {
	const char *enum_name; /* "req_op"; "" when anonymous */
	const char *prefix;    /* what was cut: "REQ_OP_"; may be "" */
	const struct names_row {
		uint64_t value; /* sign-extended for a signed enum */
		const char *name;
	} * at;
	size_t count;
};

enum hist_scale { HIST_LOG2, HIST_LINEAR, HIST_BOUNDS };

/* What the slots of a histogram mean; see sonda/metrics.h. */
struct hist_shape {
	enum hist_scale scale;
	uint32_t slots;
	uint64_t low, step;     /* HIST_LINEAR */
	const uint64_t *bounds; /* HIST_BOUNDS: slots - 1 of them, rising */
};

/* A share of a whole, from 0 to 1: the two are u64 of the same row. */
struct ratio_shape {
	uint32_t part, whole; /* bytes from the struct's start */
	bool rest;            /* 1 - part / whole */
};

/* Gives the value of a derived field for a row; `ctx` is the field's. */
typedef struct value derive_fn(const struct field *f, const struct row *r, void *ctx);

struct field {
	const char *name;        /* "took_ns" */
	const char *doc;         /* "" when there is none */
	const char *unit;        /* "ns", "bytes" ...; "" when there is none */
	const struct kind *kind; /* never NULL: "number", "text" ... when nothing was said */
	enum field_type type;
	unsigned flags;        /* enum field_flag */
	uint32_t offset, size; /* bytes from the event's start; FIELD_DERIVED: which one, from 0 */
	uint8_t bits, bit_offset; /* of a bit-field, from `offset`; bits 0: not one */
	bool is_signed, is_bool;
	uint8_t element_size; /* FIELD_ARRAY */
	uint16_t member; /* which member of the struct it is (in), from 0: see sonda_without_; of
			    FIELD_DERIVED: what it is made of */
	uint32_t count;  /* elements of FIELD_ARRAY, slots of FIELD_HIST */
	const struct names *names; /* FIELD_ENUM (and FIELD_ARRAY of enums), else NULL */
	struct hist_shape hist;    /* FIELD_HIST */
	struct ratio_shape ratio;  /* FIELD_RATIO; its offset and size are 0 */
	derive_fn *derive;         /* FIELD_DERIVED */
	void *derive_ctx;
};

/* An event, a row of a snapshot, or the labels or values of a metric table. */
struct schema {
	const char *probe; /* full name, "fs.open" */
	const char *name;  /* of the struct, "open" */
	const char *doc;
	uint32_t type_id; /* BTF id in its own object; 0: none */
	uint32_t size;    /* bytes of the struct */
	const struct field *fields;
	size_t field_count;
};

enum param_type { PARAM_BOOL, PARAM_INT, PARAM_ENUM, PARAM_CHARS, PARAM_FILE, PARAM_LIST };

struct param {
	struct field field; /* name, doc, unit, kind, size; set it with object_var_set() */
	enum param_type type;
	bool has_range;
	int64_t low, high;
	struct value initial; /* the default */
	const char *required; /* of a text: what is expected, if it must be given; NULL */
};

struct metric_table {
	const char *name; /* of the map */
	const char *doc;
	struct schema labels; /* of the key */
	struct schema values;
	uint32_t max_rows;
	bool per_cpu;
};

/* What a whole probe declares. */
struct declaration {
	const char *name;  /* "fs.open" */
	const char *group; /* "fs" */
	const char *doc;
	const char *filters; /* space-separated: "task errors min" or "... min=10ms"; "" for none */
	uint64_t min_ns;     /* what --min is where the user gives none; 0: nothing is left out */
	bool min_for_tables; /* and that goes for its metric tables too */
	bool internal;       /* a helper of sonda's own, not listed */
	const struct schema *events;
	size_t event_count;
	const struct schema *rows;
	size_t row_count;
	const struct metric_table *tables;
	size_t table_count;
	const struct param *params;
	size_t param_count;
};

/* One record bound to its schema: nothing is copied. Lives until the next batch is asked for. */
struct row {
	const struct schema *schema;
	const unsigned char *bytes; /* the event: struct, then texts */
	uint32_t size;
	uint32_t cpu;
	uint64_t seq;
	uint64_t at_ns; /* CLOCK_BOOTTIME */
	const struct value
		*derived; /* of a recording: values of FIELD_DERIVED, in order; else NULL */
};

/* The field of that name, or NULL. */
MUST_USE const struct field *schema_field(const struct schema *s, const char *name);

/* The value of a field. VALUE_NONE when the record is too short for it, for a text that was
 * never set or lies outside the record, and for an address without family. Never reads outside
 * the row's bytes, whatever they hold. For FIELD_HIST use hist_read(). */
MUST_USE struct value row_value(const struct row *r, const struct field *f);

/* "time", which every row has and no schema: when it happened. Any row's. */
MUST_USE const struct field *row_time_field(void);

/* `base` with `count` derived fields after its own. A name that `base` has already is left out: the
 * probe knows better; but a stack's names take the place of its addresses. What the fields point at is borrowed, so `base` must outlive it.
 * Ends with schema_free(). */
MUST_USE struct schema *schema_extend(const struct schema *base, const struct field *extra,
				      size_t count);
/* The field of that name is no longer FIELD_HIDE. For what schema_extend() made. */
void schema_show(struct schema *s, const char *name);
/* For what schema_extend() and schema_decode() made; NULL is fine. */
void schema_free(struct schema *s);
AUTO_PTR(schema)

/* The nth element of an array value (VALUE_U64 or VALUE_S64). */
MUST_USE struct value field_element(const struct field *f, struct value list, uint32_t nth);

/* Name of an enum's value, or NULL when it has none. */
MUST_USE const char *names_get(const struct names *n, uint64_t value);
/* The value of a name (case-insensitive, with or without the prefix that was cut); false: none. */
MUST_USE bool names_value(const struct names *n, const char *name, uint64_t *ret_value);

/* The share, or what it leaves: VALUE_DOUBLE from 0 to 1, VALUE_NONE when `whole` is 0. */
MUST_USE struct value ratio_value(const struct ratio_shape *shape, uint64_t part, uint64_t whole);

/* Reads a histogram of a metric table's row: `slots` has room for f->count. False when the row
 * is too short or `f` is none; then nothing is written. */
MUST_USE bool hist_read(const struct row *r, const struct field *f, uint64_t *ret_sum,
			uint64_t *slots);
/* The highest value that the slot counts; UINT64_MAX for the last one. */
MUST_USE uint64_t hist_upper(const struct hist_shape *shape, uint32_t slot);
/* Which slot counts `value`: what the probe's observe() does. */
MUST_USE uint32_t hist_slot(const struct hist_shape *shape, uint64_t value);
/* The value that `fraction` (0 to 1) of the observations don't exceed: the upper bound of its slot;
 * 0 when there are none. */
MUST_USE uint64_t hist_percentile(const struct hist_shape *shape, const uint64_t *slots,
				  double fraction);
