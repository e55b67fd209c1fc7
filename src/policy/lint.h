/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Parts of policy_lint() (policy.h). Inside src/policy only. One thread. */
#include <limits.h>
#include <stdbool.h>

#include "base/attr.h"
#include "policy/judge.h"
#include "policy/policy.h"

struct err;

/* What decides of a path: absolute, without symbolic links; "" is this program. false: it isn't there. */
MUST_USE bool lint_resolve(const char *path, char out[static PATH_MAX]);
/* Does the rule deny it, in a cgroup that is not known? A condition about cgroups spares nobody and saves
 * nobody. The question's accounts are put in. */
MUST_USE int lint_denies(const struct policy *p, const struct policy_rule *r,
			 struct policy_question q, bool *ret_denies, struct err *e);
/* Of a rule about sockets: services that let somebody in, addresses, names, packages. */
MUST_USE int lint_socket(const struct policy *p, const struct policy_rule *r, struct err *e);
