/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy says that it hardly means: told, not refused, because it is one all the same. */
#include "policy/policy.h"

#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct looking {
	const struct policy *policy;
	const struct policy_rule *rule;
	struct strbuf *out;
	unsigned families; /* of the networks looked at, bits */
};

static void tell(const struct looking *l, struct policy_at at, struct err *e)
{
	(void)policy_wrap(l->policy, at, e);
	strbuf_appendf(l->out, "%s\n", e->text);
}

/* ---- paths ---- */

static int on_pattern(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct err told = { 0 };

	(void)e;
	if (!strpbrk(text, "*?[") || access(text, F_OK) == 0)
		return 0;
	fail(&told, EINVAL,
	     "'%s': a path is taken by its letters, not as a pattern; `file under DIRECTORY` is about all in it",
	     text);
	tell(ctx, at, &told);
	return 1;
}

static int on_file(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	const struct looking *l = ctx;
	struct err told = { 0 };

	if (on_pattern(text, at, ctx, e) || access(text, F_OK) == 0 ||
	    l->rule->operations & POLICY_CREATE)
		return 0;
	fail(&told, ENOENT, "there is no %s '%s'; whatever gets that name is meant",
	     l->rule->under ? "directory" : "file", text);
	tell(l, at, &told);
	return 0;
}

/* ---- what nothing can match ---- */

static int on_network(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct looking *l = ctx;

	(void)at, (void)e;
	l->families |= strchr(text, ':') ? 2 : 1;
	return l->families == 3;
}

static unsigned families_of(struct looking *l, enum policy_word word)
{
	const struct policy_clause *c = NULL;
	struct err ignored;

	for (unsigned i = 0; (c = policy_clause_find(l->rule, word, i)) && c->unless;)
		i++;
	l->families = 0;
	if (!c || policy_each(l->policy, &c->values, on_network, l, &ignored) < 0)
		return 3;
	return l->families;
}

static void families_look(struct looking *l)
{
	const struct policy_clause *to = policy_clause_find(l->rule, WORD_TO, 0);
	unsigned from_families = families_of(l, WORD_FROM), to_families = families_of(l, WORD_TO);
	struct err told = { 0 };

	if (!to || !from_families || !to_families || from_families & to_families)
		return;
	fail(&told, EINVAL, "rule '%s' can match nothing: no packet goes from IPv%s to IPv%s",
	     l->rule->name, from_families == 1 ? "4" : "6", to_families == 1 ? "4" : "6");
	tell(l, to->at, &told);
}

/* ---- all ---- */

void policy_cautions(const struct policy *p, struct strbuf *out)
{
	struct err ignored;

	vec_for_each(r, &p->rules) {
		struct looking l = { .policy = p, .rule = r, .out = out };

		if (r->object && r->object->object == OBJECT_FILE)
			(void)!policy_each(p, &r->objects, on_file, &l, &ignored);
		vec_for_each(c, &r->clauses)
			if (c->word->form == FORM_PATH)
				(void)!policy_each(p, &c->values, on_pattern, &l, &ignored);
		families_look(&l);
	}
}
