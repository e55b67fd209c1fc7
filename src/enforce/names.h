/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Whether what a policy names is there: read as the guards read it, without a kernel. One thread. */
#include "base/attr.h"

struct err;
struct policy;
struct strbuf;

/* Users, units, cgroups, interfaces, directories of files, lists. Errors: as those of enforce_apply(), with the
 * place in the policy and a suggestion. */
MUST_USE int names_check(const struct policy *p, struct err *e);
/* Programs that a condition or an object names, but aren't there: a line each. Applying takes them: they are
 * whatever comes to that place. */
void names_caution(const struct policy *p, struct strbuf *out);
