/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What a policy would come to on this kernel: its guards are loaded with maps of their own and filled, in
 * which nothing is in force, and dropped again. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/policy.h"
#include "base/attr.h"
#include "base/vec.h"
#include "bpf/weight.h"
#include "enforce/enforce.h"
#include "policy/policy.h"

struct err;

struct preview_guard {
	char *name;  /* "guard.packet" */
	char *hooks; /* "lsm/file_open, lsm/mmap_file" */
	struct object_weight weight;
	bool has_cost;
	uint64_t cost_ns;    /* what a run took, measured */
	const char *cost_of; /* "of a packet" */
	char *no_cost;       /* why it was not measured; NULL: it was */
};

struct preview {
	char (*strength)[POLICY_STRENGTH]; /* by rule */
	vec(struct preview_guard) guards;
};
void preview_done(struct preview *p);

/* Errors: as those of enforce_apply(), for what the policy names and what the kernel can't enforce. */
MUST_USE int preview_make(const struct enforce_source *source, const struct policy *p,
			  struct preview *ret_preview, struct err *e);
