/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The conditions of rules about files, turned round: for each program, user and cgroup that is mentioned,
 * the rules whose conditions it fulfils. Inside src/enforce only. One thread.
 */
#include "abi/policy_file.h"
#include "base/attr.h"
#include "base/vec.h"
#include "enforce/file_paths.h"
#include "policy/policy.h"

struct err;

/* One that is mentioned. */
struct subject {
	uint64_t value; /* index of a path; user id; cgroup id */
	char *cgroup;   /* its path; NULL: it is none */
	struct rule_set fulfils;
};

struct subjects {
	vec(struct subject) of[SUBJECT_KINDS];
	struct rule_set others[SUBJECT_KINDS];
	unsigned asks; /* bits 1 << enum subject_kind */
};
void subjects_done(struct subjects *s);

/* Paths of programs are added to `paths`. Errors: EXIT_POLICY, with the place in the policy. */
MUST_USE int subjects_read(struct subjects *s, const struct policy *p, struct file_paths *paths,
			   struct err *e);
