/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists that rules name. */
#include "enforce/lists.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/strbuf.h"

#include <string.h>

/* Any but 0, and the same in every process: what is written now is compared later. */
#define SEED 1

static int on_value(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct policy_lists *sum = ctx;

	(void)at, (void)e;
	sum->count++;
	sum->hash = hash_bytes(text, strlen(text) + 1, sum->hash);
	return 0;
}

/* As policy_each(), without the values that the policy's text has. */
static int values_sum(const struct policy *p, const policy_values *values, struct policy_lists *sum,
		      struct err *e)
{
	vec_for_each(v, values) {
		const struct policy_set *set = v->is_set ? policy_set_find(p, v->text) : NULL;
		const policy_values one = { .at = v, .len = 1 };

		if (!set || !set->list)
			continue;
		sum->hash = sum->hash ?: SEED;
		if (policy_each(p, &one, on_value, sum, e) < 0)
			return -e->code;
	}
	return 0;
}

int lists_sum(const struct policy *p, const struct policy_rule *r, struct policy_lists *ret,
	      struct err *e)
{
	struct policy_lists sum = { 0 };

	if (values_sum(p, &r->objects, &sum, e) < 0)
		return -e->code;
	vec_for_each(c, &r->clauses)
		if (values_sum(p, &c->values, &sum, e) < 0)
			return -e->code;
	*ret = sum;
	return 0;
}

void lists_caution(const struct policy *p, struct strbuf *out)
{
	vec_for_each(set, &p->sets) {
		struct policy_value named = { .text = set->name, .is_set = true };
		const policy_values one = { .at = &named, .len = 1 };
		struct policy_lists sum = { 0 };
		struct err ignored = { 0 };

		if (set->list && set->form != FORM_NONE && !values_sum(p, &one, &sum, &ignored) &&
		    !sum.count)
			strbuf_appendf(out, "line %u: %s, of set '%s', has no values\n",
				       set->at.line, set->list, set->name);
	}
}
