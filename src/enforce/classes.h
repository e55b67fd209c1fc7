/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Which of the clauses of a field hold for a value, numbered: addresses or ports for which the same
 * clauses hold are of one class. Class 0: none holds. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/map.h"
#include "base/vec.h"

#define CLAUSES_MAX \
	1024 /* two words a field, each a condition and an exception of each of POLICY_RULES rules */

struct clause_set {
	uint64_t words[CLAUSES_MAX / 64];
};

struct classes {
	vec(struct clause_set) sets; /* by class */
	struct map numbers;          /* of a set: its class + 1, as a pointer */
	struct map joined;           /* class << 16 | clause -> class + 1 */
};
void classes_init(struct classes *c);
void classes_done(struct classes *c);

/* The class for which also `clause` (below CLAUSES_MAX) holds. */
MUST_USE uint32_t class_with(struct classes *c, uint32_t class, unsigned clause);
MUST_USE uint32_t class_of(struct classes *c, const struct clause_set *set);
MUST_USE bool class_has(const struct classes *c, uint32_t class, unsigned clause);
