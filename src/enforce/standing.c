/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether what is in force is attached still: links are detached, their pins removed, interfaces made anew. */
#include "enforce/enforce.h"

#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/pins.h"
#include "enforce/guard.h"
#include "enforce/state.h"

#include <assert.h>
#include <errno.h>

static bool links_all_stand(const struct object *o, const struct guard *g)
{
	unsigned all;

	return !object_links_lost(o, g->name, &all);
}

int part_check(const struct part *part, struct err *e)
{
	const struct guard *g = part->guard;

	if (g->whole ? g->whole(part->object) : links_all_stand(part->object, g))
		return 0;
	return guard_lost(g, e);
}

int guard_lost(const struct guard *g, struct err *e)
{
	fail(e, ESTALE, "guard.%s is not attached any more as it was when the policy was applied",
	     g->name);
	return hint(e, "`sonda policy apply FILE` puts guards anew into force");
}

/* ---- rule by rule ---- */

static void rule_standing(struct enforce *f, const struct guard *g, const struct policy *p,
			  const struct policy_rule *r, struct guard_standing *ret,
			  struct part **ret_part)
{
	struct err ignored = { 0 };
	unsigned lost;

	*ret = (struct guard_standing){ .places = 1 };
	if (part_look(f, g, ret_part, &ignored) < 0 || !*ret_part)
		return;
	if (g->standing) {
		g->standing((*ret_part)->object, p, r, ret);
		return;
	}
	lost = object_links_lost((*ret_part)->object, g->name, &ret->places);
	ret->held = ret->places - lost;
}

/* What the guard says of itself now, where that can change by itself. */
static void strength_renew(const struct guard *g, const struct part *part,
			   const struct policy_rule *r, const struct guard_standing *s,
			   struct enforce_rule *told)
{
	auto_done(strbuf) words = { 0 };

	if (s->held < s->places)
		strbuf_puts(&words, s->held ? "in part: " : "not attached: ");
	if (part && g->standing)
		g->strength(part->object, r, &words);
	else
		strbuf_puts(&words, told->strength);
	str_copy(told->strength, sizeof(told->strength), strbuf_str(&words));
	told->attached &= s->held == s->places;
}

void enforce_look(struct enforce *f, const struct policy *p, size_t nth, struct enforce_rule *told)
{
	struct policy_rule *r = &p->rules.at[nth];
	const struct policy alone = { .rules = { .at = r, .len = 1 } };

	assert(f && nth < p->rules.len && told);
	told->attached = true;
	for (const struct guard *const *g = guards; *g; g++) {
		struct guard_standing s;
		struct part *part = NULL;

		if (!guard_takes_any(*g, &alone))
			continue;
		rule_standing(f, *g, p, r, &s, &part);
		if ((*g)->domain == r->domain || s.held < s.places)
			strength_renew(*g, part, r, &s, told);
	}
}
