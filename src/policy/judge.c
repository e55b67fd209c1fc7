/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a rule about an operation? By text, and files by what they are where the question says so. */
#include "policy/judge.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"
#include "policy/lookup.h"
#include "policy/words.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

struct asked {
	const char *what;
	bool under; /* a directory above it will do */
	bool found;
	struct accounts *accounts;
	struct lookup *files;
};

static int on_path(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	char resolved[PATH_MAX];
	const char *path;

	(void)at, (void)e;
	if (asked->files) {
		asked->found |= (asked->under ? lookup_below : lookup_same)(asked->files,
									    asked->what, text);
		return 0;
	}
	path = realpath(text, resolved) ?: text;
	asked->found |= asked->under ? path_is_below(asked->what, path) : str_eq(asked->what, path);
	return 0;
}

/* Names and numbers of the same user are the same. */
static int on_user(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	uint32_t a, b;

	(void)at, (void)e;
	if (str_eq(text, asked->what))
		asked->found = true;
	else if (user_id(asked->accounts, text, &a) && user_id(asked->accounts, asked->what, &b))
		asked->found |= a == b;
	return 0;
}

/* A unit is named by the last part of its cgroup. */
static int on_cgroup(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	const char *part = *text == '/' ? NULL : strstr(asked->what, text);

	(void)at, (void)e;
	if (!part)
		asked->found |= *text == '/' && path_is_below(asked->what, text);
	else
		asked->found |= part > asked->what && part[-1] == '/' && path_is_below(part, text);
	return 0;
}

static int on_capability(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	uint32_t a, b;

	(void)at;
	if (policy_capability_parse(text, &a, e) < 0 ||
	    policy_capability_parse(asked->what, &b, e) < 0)
		return -e->code;
	asked->found |= a == b;
	return 0;
}

/* Does the condition hold? */
static int holds(const struct policy *p, const struct policy_clause *c,
		 const struct policy_question *q, enum policy_answer *ret, struct err *e)
{
	const struct {
		enum policy_word word;
		const char *what;
		policy_value_fn *fn;
	} subjects[] = {
		{ WORD_EXE, q->exe, on_path },
		{ WORD_USER, q->user, on_user },
		{ WORD_CGROUP, q->cgroup, on_cgroup },
	};
	struct asked asked = { .accounts = q->accounts, .files = q->files };

	*ret = ANSWER_UNKNOWN;
	if (c->word->word == WORD_TERMINAL && q->terminal_known)
		*ret = q->terminal ? ANSWER_YES : ANSWER_NO;
	for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
		if (subjects[i].word != c->word->word || !subjects[i].what)
			continue;
		asked.what = subjects[i].what;
		if (policy_each(p, &c->values, subjects[i].fn, &asked, e) < 0)
			return -e->code;
		*ret = asked.found ? ANSWER_YES : ANSWER_NO;
	}
	return 0;
}

/* What it runs is of its line; of the rest we may know nothing. */
static int ancestor_holds(const struct policy *p, const struct policy_clause *c,
			  const struct policy_question *q, enum policy_answer *ret, struct err *e)
{
	const char *const line[] = { q->exe, q->ancestor };
	struct asked asked = { .files = q->files };

	for (size_t i = 0; i < ARRAY_LEN(line) + (q->line ? q->line->len : 0); i++) {
		asked.what = i < ARRAY_LEN(line) ? line[i] : q->line->at[i - ARRAY_LEN(line)];
		if (asked.what && policy_each(p, &c->values, on_path, &asked, e) < 0)
			return -e->code;
	}
	*ret = asked.found ? ANSWER_YES : q->ancestor ? ANSWER_NO : ANSWER_UNKNOWN;
	return 0;
}

static int conditions_hold(const struct policy *p, const struct policy_rule *r,
			   const struct policy_question *q, struct policy_judged *ret,
			   struct err *e)
{
	enum policy_answer one;

	vec_for_each(c, &r->clauses) {
		if (!c->word->conditional)
			continue;
		if ((c->word->word == WORD_ANCESTOR ? ancestor_holds : holds)(p, c, q, &one, e) < 0)
			return -e->code;
		if (one == ANSWER_UNKNOWN)
			*ret = (struct policy_judged){ ANSWER_UNKNOWN, c->word->name };
		else if ((one == ANSWER_YES) == c->unless) {
			*ret = (struct policy_judged){ ANSWER_NO, NULL };
			return 0;
		}
	}
	return 0;
}

static bool is_held(const struct policy_question *q, size_t rule)
{
	return q->held && q->held->words[rule / 64] >> rule % 64 & 1;
}

/* Is the rule about the object? */
static int is_about(const struct policy *p, const struct policy_rule *r,
		    const struct policy_question *q, struct policy_judged *ret, struct err *e)
{
	static const struct {
		policy_value_fn *fn;
		const char *name;
	} objects[] = {
		[OBJECT_FILE] = { on_path, "the file" },
		[OBJECT_EXE] = { on_path, "of exe" },
		[OBJECT_USER] = { on_user, "of user" },
		[OBJECT_CGROUP] = { on_cgroup, "of cgroup" },
		[OBJECT_TO] = { on_user, "the user that it becomes" },
		[OBJECT_CAPABILITY] = { on_capability, "the capability" },
	};
	enum policy_object object = r->object ? r->object->object : OBJECT_NONE;
	struct asked asked = {
		.what = q->of[object], .under = r->under, .accounts = q->accounts, .files = q->files
	};

	if (!object)
		return 0;
	if (!asked.what) {
		*ret = (struct policy_judged){ ANSWER_UNKNOWN, objects[object].name };
		return 0;
	}
	if (policy_each(p, &r->objects, objects[object].fn, &asked, e) < 0)
		return -e->code;
	if (!asked.found && !(object == OBJECT_FILE && is_held(q, (size_t)(r - p->rules.at))))
		ret->answer = ANSWER_NO;
	return 0;
}

/* Is the rule about what is done? */
static struct policy_judged is_done(const struct policy_rule *r, const struct policy_question *q)
{
	unsigned maybe = r->operations & q->maybe;

	if (!policy_domain_row(r->domain)->subject && !(r->operations & q->operations)) {
		if (!maybe)
			return (struct policy_judged){ ANSWER_NO, NULL };
		if (!q->one_of_maybe || maybe != q->maybe)
			return (struct policy_judged){ ANSWER_UNKNOWN, "which operation it was" };
	}
	return (struct policy_judged){ ANSWER_YES, NULL };
}

int policy_judge(const struct policy *p, const struct policy_rule *r,
		 const struct policy_question *q, struct policy_judged *ret, struct err *e)
{
	static int (*const asks[])(const struct policy *, const struct policy_rule *,
				   const struct policy_question *, struct policy_judged *,
				   struct err *) = {
		[POLICY_FILE] = is_about,        [POLICY_KERNEL] = is_about,
		[POLICY_SOCKET] = judge_packet,  [POLICY_PACKET] = judge_packet,
		[POLICY_TRAFFIC] = judge_packet, [POLICY_FILTER] = judge_packet,
	};

	*ret = (struct policy_judged){ ANSWER_NO, NULL };
	if (r->domain != q->domain)
		return 0;
	*ret = is_done(r, q);
	if (ret->answer == ANSWER_NO)
		return 0;
	if (!q->any_object && asks[q->domain](p, r, q, ret, e) < 0)
		return -e->code;
	return ret->answer == ANSWER_NO ? 0 : conditions_hold(p, r, q, ret, e);
}
