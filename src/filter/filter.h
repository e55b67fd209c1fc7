/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The expression language of --where: text -> tree -> checked against a schema -> evaluated on
 * rows; and what of it the kernel can evaluate itself (the pipeline pushes that down).
 *
 *	err == ENOENT and path ~ "/etc/[a-z]*.conf"  or  not (took > 10ms)
 *	dst in 10.0.0.0/8, fe80::/10 and size >= 4KiB and flags ~ O_CREAT and comm in (nginx, redis)
 */
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"
#include "schema/schema.h"

struct err;
struct filter;       /* parsed, not yet about any schema */
struct filter_bound; /* checked against one schema */

/* Errors: EINVAL with the position (column) and what was expected. `text` is copied. */
MUST_USE int filter_parse(const char *text, struct filter **ret, struct err *e);
void filter_free(struct filter *f);
AUTO_PTR(filter)

/* The nth field that the expression names, NULL at the end. */
MUST_USE const char *filter_field(const struct filter *f, size_t nth);

/* Checks names and types and readies values. `f` must outlive it. A field may be named without its
 * unit ("took" for took_ns) while unambiguous. Errors: ENOENT (unknown field, with a
 * suggestion); EINVAL (a value that doesn't fit the field's kind, an operator that the kind doesn't
 * have). */
MUST_USE int filter_bind(const struct filter *f, const struct schema *schema,
			 struct filter_bound **ret, struct err *e);
void filter_bound_free(struct filter_bound *b);
AUTO_PTR(filter_bound)

/* Does the row pass? A comparison with a value that is not known (VALUE_NONE) is false, and so is
 * its negation by != ; `not` negates what it stands before. */
MUST_USE bool filter_matches(const struct filter_bound *b, const struct row *r);

/* One comparison that the kernel can evaluate: it, or one of those that it is joined with by or_next,
 * must hold for the row to pass. */
struct filter_push {
	const struct field *field;
	enum { PUSH_EQ, PUSH_LT, PUSH_GT, PUSH_ANY_BIT } op;
	bool negated;   /* not EQ, not LT (>=), not GT (<=) */
	bool or_next;   /* or the next one */
	bool inverted;  /* `text` stands behind a `not` */
	uint64_t value; /* sign-extended for signed fields */
	uint32_t
		offset; /* of the bytes compared, from the event's start (char arrays: 8 at a time) */
	uint8_t size;
	const char *text; /* the source of the condition, for -v; lives as long as the filter */
};

/* Writes at most `limit` comparisons that are necessary for a match and returns how many. *ret_all: they are also sufficient, so userland need not evaluate again. */
MUST_USE unsigned filter_pushable(const struct filter_bound *b, struct filter_push *out,
				  unsigned limit, bool *ret_all);
