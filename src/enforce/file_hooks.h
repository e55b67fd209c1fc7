/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Which programs of guard.file a policy needs: by the operations of its rules, and by the rung of the
 * ladder that this kernel has. Inside src/enforce only. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/policy_file.h"
#include "base/attr.h"
#include "policy/policy.h"

struct err;
struct object;
struct strbuf;

/* Where operations are refused; or else why not, and they are only seen when they have been done. */
struct file_ladder {
	enum file_rung rung;
	char why[160]; /* "lsm: refused by the kernel ..."; "" on the upper rungs */
};
/* Looks at it with `o`, which is not loaded; later calls give the same. Errors: of looking. */
MUST_USE int file_ladder(struct object *o, const struct file_ladder **ret, struct err *e);

/* The operations that rules of the policy about files name. */
MUST_USE unsigned file_operations(const struct policy *p);
/* The slots that these operations need, as bits. */
MUST_USE uint64_t file_hooks_needed(const struct file_ladder *ladder, unsigned operations);
/* Leaves all others out when the object is loaded. */
MUST_USE int file_hooks_choose(struct object *o, uint64_t slots, struct err *e);

/* What a loaded object has, for its proof. */
void file_hooks_tell(const struct object *o, struct file_proof *ret);
/* "lsm", "sys_exit, sched_prepare_exec": what sees these operations. */
void file_method(const struct file_proof *proof, unsigned operations, struct strbuf *out);
/* struct guard's caution, for all rules that name files. */
void file_caution(const struct policy *p, struct strbuf *out);
/* The slot whose program runs at every open; NULL: none does. */
MUST_USE const char *file_hooks_at_open(const struct object *o);
