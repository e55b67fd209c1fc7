/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which programs a process descends from. Programs that rules name as ancestors have a bit each, which they keep
 * while a policy names them; a task has the bits of those that it, or one that it descends from, ran.
 */
#pragma once

#include <linux/types.h>

#include "abi/policy_subject.h"

#define POLICY_ANCESTORS 64     /* of the policy in force and the one before it, together */
#define POLICY_LINES     131072 /* tasks whose line is known at a time */

/* "policy_lines": a hash, by the task's address. Who isn't in it is not known. */
struct policy_line {
	__u64 programs; /* from its parent, and run since; the task alone adds to it */
	__u64 before;   /* found when a policy came to name them; who applies it writes it */
};

/* "ancestor_programs": an array of POLICY_ANCESTORS, by bit. */
struct ancestor_program {
	struct file_place place; /* `gen` is 0; `len` 0: the bit is free */
	__u32 gens;              /* bits 1 << generation: who names it. 0: it is to be cleared */
	__u32 pad;
};

/* "ancestor_rules": an array, for each four bits of a line what their value means. */
#define ANCESTOR_PARTS                      (POLICY_ANCESTORS / 4)
#define ANCESTOR_RULES                      (2 * ANCESTOR_PARTS * 16)
#define ANCESTOR_RULES_AT(gen, part, value) (((gen)*ANCESTOR_PARTS + (part)) * 16 + (value))
struct ancestor_rules {
	struct rule_set gives; /* rules that want one of them */
	struct rule_set takes; /* rules that spare who descends from one of them */
};
