/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What enforcement holds open: the shared maps and the guards that take part. Inside src/enforce only: enforce.c
 * changes it, told.c and standing.c look. One thread. */
#include <stdbool.h>

#include "base/attr.h"
#include "enforce/enforce.h"
#include "enforce/shared.h"

struct err;
struct guard;
struct object;

#define PARTS_MAX 16

/* A guard that takes part. */
struct part {
	const struct guard *guard;
	void *handle; /* of the source */
	struct object *object;
	bool fresh; /* loaded now: to be pinned */
	bool adds;  /* to an earlier part, in whose maps it works */
};

struct enforce {
	const struct enforce_source *source;
	int lock;
	struct shared shared;
	struct part parts[PARTS_MAX];
	unsigned part_count;
	struct enforce_state state;
	unsigned generation; /* in force; POLICY_NOBODY: none */
	bool over;           /* what is in force is of another version, to be taken over */
};

/* Opens a guard's object: another part. */
MUST_USE int part_open(struct enforce *f, const struct guard *g, struct part **ret, struct err *e);
/* Is what was adopted attached as it was, or can be made to be? Errors: ESTALE. */
MUST_USE int part_check(const struct part *part, struct err *e);
/* ESTALE: it has rules in force, and isn't as it was. */
MUST_USE int guard_lost(const struct guard *g, struct err *e);
/* The part of a guard that is pinned, its maps open; *ret_part NULL: it isn't. */
MUST_USE int part_look(struct enforce *f, const struct guard *g, struct part **ret_part,
		       struct err *e);
