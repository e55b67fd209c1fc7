/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Kinds: what a number or a text means. A kind is a row of one table (kind.c): from it come the
 * printed form, the JSON form, what a filter may be written as ("10ms", "ENOENT", "10.0.0.0/8"),
 * the unit that metrics export, and a line in docs/probes.md.
 */
#include "schema/schema.h"

struct json;
struct err;

/* How a filter may compare a field of this kind, and which values it takes: a value of another type
 * is printed by its type alone. */
enum kind_class {
	CLASS_NUMBER, /* ordered: < > == in */
	CLASS_NAME,   /* names for numbers: == in, | for bits */
	CLASS_TEXT,   /* == ~ in */
	CLASS_IP,     /* == in CIDR */
	CLASS_BOOL,
	CLASS_STACK, /* ~ */
	CLASS_OTHER, /* blobs, lists: not comparable */
	CLASS_COUNT,
};

struct kind {
	const char *name; /* as in KIND("...") */
	const char *doc;  /* what it is; how it is printed, and in JSON where that differs */
	const char *unit; /* implied: "ns" for duration; "" */
	enum kind_class class;
	unsigned types; /* bits of 1 << enum field_type that may carry it */
	bool right_aligned;
	unsigned min_cols; /* usual width in text tables */
	/* For people: "1.24 ms". Appends; escapes nothing (the table does). */
	void (*text)(struct strbuf *out, const struct field *f, struct value v);
	/* For programs: one JSON value. */
	void (*json)(struct json *out, const struct field *f, struct value v);
	/* Reads what a user may write for a value of this kind ("10ms", "ENOENT", "root") into
	 * ret_value; errors name what was expected. NULL: by the class alone. */
	int (*parse)(const struct field *f, const char *text, struct value *ret_value,
		     struct err *e);
};

/* The kind of that name, or NULL. */
MUST_USE const struct kind *kind_find(const char *name);
/* The kind with the nearest name, for "did you mean"; NULL when none is near. */
MUST_USE const char *kind_suggest(const char *name);
/* All kinds, for documentation. */
MUST_USE const struct kind *kind_table(size_t *ret_count);
/* The kind of a field that names none: by its type. */
MUST_USE const struct kind *kind_default(enum field_type type, bool is_bool);
/* The kind of a plain number with this unit: "duration" for "us"; "number" when the unit has
 * none. */
MUST_USE const struct kind *kind_of_unit(const char *unit);
/* May a field of that type have this kind? */
MUST_USE bool kind_fits(const struct kind *k, enum field_type type);

/* Rows come from a recording that was made elsewhere, begun at `started_ns` (CLOCK_BOOTTIME): times are
 * turned into wall time by its offset (CLOCK_REALTIME - CLOCK_BOOTTIME), a time without a date is of
 * the day when it began, and names that only this machine knows (of block devices) are not looked up.
 * For the whole process, before the first row. */
void kind_replays(int64_t wall_offset_ns, uint64_t started_ns);

/* Appends a field's value for people, "-" for VALUE_NONE; lists and flags included. */
void value_text_form(struct strbuf *out, const struct field *f, struct value v);
/* One JSON value: null for VALUE_NONE. */
void value_json_form(struct json *out, const struct field *f, struct value v);
/* Reads what a user wrote for this field: VALUE_S64 for signed numbers, VALUE_U64 for others and
 * for names, VALUE_BOOL, VALUE_TEXT (points into `text`), VALUE_IP. Errors: EINVAL with what was
 * expected. */
MUST_USE int value_parse(const struct field *f, const char *text, struct value *ret_value,
			 struct err *e);

/* An address as written, without prefix length; IPv4 inside IPv6 (::ffff:1.2.3.4) becomes IPv4.
 * Errors: EINVAL. */
MUST_USE int ip_parse(const char *text, struct ip *ret_ip, struct err *e);
/* The address, "1.2.3.4" or as RFC 5952 has it; IPv4 inside IPv6 as IPv4. */
void ip_text(struct strbuf *out, const struct ip *ip);
