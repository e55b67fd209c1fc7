/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Which fields of a schema a sink shows: those that --fields names, else all, or all that are not
 * hidden. "time" and "probe" are fields of every row. Memory is the caller's. One thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/vec.h"
#include "schema/schema.h"
#include "sink/sink.h"

enum column_what { COLUMN_TIME, COLUMN_PROBE, COLUMN_FIELD };

struct column {
	enum column_what what;
	const struct field *field; /* COLUMN_FIELD; NULL: this schema doesn't have it */
	const char *name;
	const struct field
		*port;       /* text only: of an address; shown with it, not apart. NULL: none */
	enum wall_form time; /* COLUMN_TIME, text only */
};
struct columns {
	vec(struct column) at;
};

/* Joins each address with the port that belongs to it: "peer" with "peer_port". */
void columns_join_ports(struct columns *c, const struct schema *s);

/* `hidden`: hidden fields too when --fields says nothing. A name of --fields that the schema lacks
 * becomes an empty column. Errors: EINVAL with a suggestion when the schema has none of the names. */
MUST_USE int columns_choose(const struct sink_options *o, const struct schema *s, bool hidden,
			    struct columns *ret, struct err *e);
void columns_done(struct columns *c);
/* The field of that name, with or without its unit ("took" for took_ns); NULL: none. */
MUST_USE const struct field *columns_field(const struct schema *s, const char *name);
/* Length of "took" in took_ns: the printed value carries its unit. `f` NULL: not a field. */
MUST_USE size_t columns_name_len(const char *name, const struct field *f);
/* Would two fields be called the same without their units? Then they are to keep them. */
MUST_USE bool columns_collide(const struct field *a, const struct field *b);
/* The heading of a text column, "TOOK": the first `len` bytes of the name. free() it. */
MUST_USE char *columns_title(const char *name, size_t len);
