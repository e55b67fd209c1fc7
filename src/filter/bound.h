/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A filter bound to a schema, between the filter's own files. */
#include "filter/tree.h"

/* One value to compare with, readied. */
struct operand {
	struct value value;
	const char *text; /* for globs and texts: as written */
	bool is_glob;
	unsigned prefix; /* of an address: bits */
	struct ip ip;
};

struct test {
	const struct node *node;
	const struct field *field;
	enum filter_op op;
	struct operand *operands;
	size_t count;
};

struct filter_bound {
	const struct filter *filter;
	struct test *tests; /* one for each node; unused where it is no test */
};

/* Does a bit-like `~` make sense for the field? */
MUST_USE bool field_has_bits(const struct field *f);
