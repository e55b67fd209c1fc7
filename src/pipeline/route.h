/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What becomes of a row: seen by the enrichers, filtered, counted, given to the sink. Each schema has
 * its route, made before the first row (a session) or when its first row comes (a recording).
 * One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/vec.h"
#include "sink/sink.h"

struct enrich;
struct err;
struct filter;
struct filter_bound;

struct route {
	const struct schema *schema;
	const struct filter_bound *where; /* NULL: all pass */
	struct filter_bound *own;         /* the same, when it is ours to free */
	bool nothing;                     /* no row passes */
	bool feed;                        /* for the enrichers only: neither shown nor counted */
};

struct router {
	const struct sink_ops *ops;
	struct sink *sink;
	struct enrich *enrich; /* NULL: none */
	struct filter *where;  /* for schemas that are met on the way; NULL */
	uint64_t limit;        /* rows to deliver; 0: no limit */
	uint64_t delivered, filtered;
	vec(struct route) routes;
};

void router_done(struct router *r); /* the sink stays the caller's */

/* Errors: of the sink's bind. */
MUST_USE int router_add(struct router *r, const struct schema *schema,
			const struct filter_bound *where, bool nothing, struct err *e);
/* The schemas of a recording, which `where` must know the fields of at least one of. Errors: of the
 * sink's bind, EINVAL and ENOENT of the condition. */
MUST_USE int router_expect(struct router *r, const struct schema *const *schemas, size_t count,
			   struct err *e);
/* Rows of this schema are for the enrichers. */
void router_feed(struct router *r, const struct schema *schema);
/* 0, or what the sink or the condition said. */
MUST_USE int router_row(struct router *r, const struct row *row, struct err *e);
/* Has it delivered what it may? Rows after that count as filtered. */
MUST_USE bool router_full(const struct router *r);
