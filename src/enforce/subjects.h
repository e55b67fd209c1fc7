/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The conditions of rules about operations, turned round: for each program, user and cgroup that is mentioned,
 * the rules whose conditions it fulfils. Inside src/enforce only. One thread.
 */
#include "abi/policy_file.h"
#include "base/attr.h"
#include "base/vec.h"
#include "enforce/file_paths.h"
#include "policy/policy.h"

struct err;
struct object;

/* One that is mentioned. */
struct subject {
	uint64_t value; /* index of a path; user id; cgroup id */
	char *cgroup;   /* its path; NULL: it is none */
	struct rule_set fulfils;
	struct rule_set named[2]; /* by conditions of rules: behind `when`, behind `unless` */
};

struct subjects {
	vec(struct subject) of[SUBJECT_KINDS];
	struct rule_set others[SUBJECT_KINDS];
	unsigned asks; /* bits 1 << enum subject_kind */
};
void subjects_done(struct subjects *s);

/* Its path below the root of cgroup v2, the caller's, and its number. `text` may be a unit's name. */
MUST_USE int subject_cgroup(const char *text, char **ret_path, uint64_t *ret_id, struct err *e);

void rule_put(struct rule_set *set, size_t rule);

/* Of the domain's rules. Paths of programs are added to `paths`, with what they fulfil. `for_trial`: also
 * sonda is refused. Errors: EXIT_POLICY, with the place in the policy. */
MUST_USE int subjects_read(struct subjects *s, const struct policy *p, enum policy_domain domain,
			   struct file_paths *paths, bool for_trial, struct err *e);
/* What the guard's row of a generation says of them, and of the rules' verdicts. */
void subjects_rules(const struct subjects *s, const struct policy *p, enum policy_domain domain,
		    struct subject_rules *ret);
/* Writes the generation `gen` anew into the maps of guards/include/subject.h: subjects, and the paths,
 * which have been identified (file_paths_identify()), with what `object` says of them; ancestors' gets their
 * bits (ancestry.h). */
MUST_USE int subjects_write(const struct subjects *s, struct file_paths *paths,
			    const struct object *o, uint32_t gen, struct err *e);
