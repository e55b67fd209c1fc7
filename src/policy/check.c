/* SPDX-License-Identifier: BSD-2-Clause */
/* What a parsed policy must hold to as a whole. */
#include "policy/parse.h"

#include "abi/policy.h"
#include "base/err.h"
#include "base/str.h"
#include "policy/words.h"

#include <errno.h>

/* ---- names ---- */

static const char *set_nth(const void *ctx, size_t i)
{
	const struct policy *p = ctx;

	return i < p->sets.len ? p->sets.at[i].name : NULL;
}

static int twice(const struct policy *p, const char *what, const char *name, struct policy_at first,
		 struct policy_at at, struct err *e)
{
	fail_as(e, EXIT_POLICY, EEXIST, "there is a %s '%s' already, in line %u", what, name,
		first.line);
	return policy_wrap(p, at, e);
}

static int check_names(const struct policy *p, struct err *e)
{
	vec_for_each(a, &p->sets)
		for (const struct policy_set *b = p->sets.at; b < a; b++)
			if (str_eq(a->name, b->name))
				return twice(p, "set", a->name, b->at, a->at, e);
	vec_for_each(a, &p->rules)
		for (const struct policy_rule *b = p->rules.at; b < a; b++)
			if (str_eq(a->name, b->name))
				return twice(p, "rule", a->name, b->at, a->at, e);
	if (p->rules.len <= POLICY_RULES)
		return 0;
	fail_as(e, EXIT_POLICY, E2BIG, "more than %u rules", POLICY_RULES);
	hint(e, "addresses and files of one kind belong into a set");
	return policy_wrap(p, p->rules.at[POLICY_RULES].at, e);
}

/* ---- values ---- */

static int check_value(const struct policy *p, enum policy_form form, const struct policy_value *v,
		       struct err *e)
{
	return policy_form_check(form, v->text, e) < 0 ? policy_wrap(p, v->at, e) : 0;
}

/* A set that is shipped comes in where it is named. NULL: it isn't one. */
static struct policy_set *set_shipped(struct policy *p, const struct policy_value *v)
{
	const struct policy_shipped *row = policy_shipped_find(v->text);
	struct policy_set *set;

	if (!row)
		return NULL;
	set = vec_add(&p->sets);
	set->name = xstrdup(row->name);
	set->shipped = true;
	set->at = v->at;
	for (const char *at = row->values; *at;) {
		size_t len = strcspn(at, ", ");

		vec_push(&set->values,
			 ((struct policy_value){ .text = xstrndup(at, len), .at = v->at }));
		at += len + strspn(at + len, ", ");
	}
	return set;
}

/* A set is used where values of `form` belong. */
static int check_set(struct policy *p, enum policy_form form, const struct policy_value *v,
		     struct err *e)
{
	const struct policy_set *found = policy_set_find(p, v->text);
	struct policy_set *set = found ? &p->sets.at[found - p->sets.at] : set_shipped(p, v);

	if (!set) {
		name_unknown("set", v->text, set_nth, p, e);
		e->exit_class = EXIT_POLICY;
		return policy_wrap(p, v->at, e);
	}
	if (set->form && set->form != form) {
		fail_as(e, EXIT_POLICY, EINVAL, "@%s stands for %s elsewhere; here it is to be %s",
			v->text, policy_form_name(set->form), policy_form_name(form));
		return policy_wrap(p, v->at, e);
	}
	if (set->form)
		return 0;
	set->form = form;
	vec_for_each(value, &set->values)
		if (check_value(p, form, value, e) < 0)
			return -e->code;
	return 0;
}

static int check_values(struct policy *p, enum policy_form form, const policy_values *values,
			struct err *e)
{
	vec_for_each(v, values)
		if ((v->is_set ? check_set(p, form, v, e) : check_value(p, form, v, e)) < 0)
			return -e->code;
	return 0;
}

/* A set holds plain values, and its list is a path. */
static int check_sets(const struct policy *p, struct err *e)
{
	vec_for_each(set, &p->sets) {
		if (set->list && *set->list != '/') {
			fail_as(e, EXIT_POLICY, EINVAL,
				"'%s': expected the absolute path of a list", set->list);
			return policy_wrap(p, set->list_at, e);
		}
		vec_for_each(v, &set->values)
			if (v->is_set) {
				fail_as(e, EXIT_POLICY, EINVAL,
					"a set holds values; there stands the set @%s", v->text);
				return policy_wrap(p, v->at, e);
			}
	}
	return 0;
}

/* ---- words that don't fit together ---- */

static bool has(const struct policy_rule *r, enum policy_word word)
{
	const struct policy_clause *c = policy_clause_find(r, word, 0);

	return c && !c->unless;
}

static const struct {
	enum policy_word a, b;
	const char *why;
} contradictions[] = {
	{ WORD_TCP, WORD_UDP, "no packet is both: write a rule for each" },
	{ WORD_TCP, WORD_ICMP, "no packet is both: write a rule for each" },
	{ WORD_UDP, WORD_ICMP, "no packet is both: write a rule for each" },
	{ WORD_ICMP, WORD_PORT, "ICMP has no ports" },
	{ WORD_ICMP, WORD_SOURCE_PORT, "ICMP has no ports" },
	{ WORD_SYN, WORD_UDP, "only TCP opens connections" },
	{ WORD_SYN, WORD_ICMP, "only TCP opens connections" },
	{ WORD_TCP, WORD_PROTOCOL, "the first says the protocol already" },
	{ WORD_UDP, WORD_PROTOCOL, "the first says the protocol already" },
	{ WORD_ICMP, WORD_PROTOCOL, "the first says the protocol already" },
	{ WORD_SYN, WORD_PROTOCOL, "the first says the protocol already: TCP" },
	{ WORD_TCP, WORD_ICMP_TYPE, "only ICMP has such types" },
	{ WORD_UDP, WORD_ICMP_TYPE, "only ICMP has such types" },
	{ WORD_SYN, WORD_ICMP_TYPE, "only ICMP has such types" },
	{ WORD_PORT, WORD_ICMP_TYPE, "ICMP has no ports" },
	{ WORD_SOURCE_PORT, WORD_ICMP_TYPE, "ICMP has no ports" },
};

static int check_contradictions(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(contradictions); i++) {
		if (!has(r, contradictions[i].a) || !has(r, contradictions[i].b))
			continue;
		fail_as(e, EXIT_POLICY, EINVAL, "'%s' and '%s': %s",
			policy_word_row(contradictions[i].a)->name,
			policy_word_row(contradictions[i].b)->name, contradictions[i].why);
		return policy_wrap(p, policy_clause_find(r, contradictions[i].b, 0)->at, e);
	}
	return 0;
}

/* A socket that is made has no address yet. */
static int check_addressed(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	unsigned makes = r->domain == POLICY_SOCKET ? r->operations & ~POLICY_ADDRESSED : 0;

	vec_for_each(c, &r->clauses) {
		if (!makes || c->word->conditional || c->word->single)
			continue;
		fail_as(e, EXIT_POLICY, EINVAL,
			"'%s' and '%s': a socket that is made has no address yet",
			policy_operation_name(POLICY_SOCKET, makes & -makes), c->word->name);
		hint(e, "write a rule for each");
		return policy_wrap(p, c->at, e);
	}
	return 0;
}

/* The same word twice is a slip; but a condition and its exception are not, and subjects add up. */
static int check_repeats(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	vec_for_each(a, &r->clauses)
		for (const struct policy_clause *b = r->clauses.at; b < a; b++) {
			if (a->word != b->word || a->unless != b->unless)
				continue;
			fail_as(e, EXIT_POLICY, EINVAL, "'%s' is said twice", a->word->name);
			if (!a->word->single && a->word->form)
				hint(e, "write all values behind one '%s', with commas between",
				     a->word->name);
			return policy_wrap(p, a->at, e);
		}
	return 0;
}

/* `at most` and `per` are said of alerts, `per` only behind `at most`. */
static int check_alert(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	const struct policy_clause *most = policy_clause_find(r, WORD_AT_MOST, 0);
	const struct policy_clause *per = policy_clause_find(r, WORD_PER, 0);

	if ((most || per) && r->verdict != POLICY_ALERT) {
		fail_as(e, EXIT_POLICY, EINVAL, "'%s' is said of `alert`: a refusal is always told",
			most ? "at most" : "per");
		return policy_wrap(p, most ? most->at : per->at, e);
	}
	if (per && !most) {
		fail_as(e, EXIT_POLICY, EINVAL,
			"how often is missing: expected 'at most' and a rate such as 10/min");
		return policy_wrap(p, per->at, e);
	}
	return 0;
}

/* These are read without looking into sets. */
static int check_plain(const struct policy *p, const struct policy_clause *c, struct err *e)
{
	if (c->word->form != FORM_MODE && c->word->form != FORM_ACCEPT && c->word->form != FORM_PER)
		return 0;
	vec_for_each(v, &c->values)
		if (v->is_set) {
			fail_as(e, EXIT_POLICY, EINVAL, "expected %s, there stands the set '@%s'",
				policy_form_name(c->word->form), v->text);
			return policy_wrap(p, v->at, e);
		}
	return 0;
}

static int check_accept(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_ACCEPT, 0);

	if (!c || r->verdict == POLICY_DENY)
		return 0;
	fail_as(e, EXIT_POLICY, EINVAL, "'accept' is about what is denied; this rule only tells");
	return policy_wrap(p, c->at, e);
}

/* ---- words that want another ---- */

static const struct {
	enum policy_word word, with;
	const char *why;
} companions[] = {
	{ WORD_USER, WORD_OUT, "who sent a packet is known of those that leave" },
	{ WORD_CGROUP, WORD_OUT, "who sent a packet is known of those that leave" },
	{ WORD_PRIORITY, WORD_AT, "a priority is one of a hook" },
};

static int check_companions(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
		const struct policy_word_row *with = policy_word_row(companions[i].with);

		vec_for_each(c, &r->clauses) {
			if (c->word->word != companions[i].word || has(r, with->word) ||
			    !(with->domains & POLICY_ABOUT(r->domain)))
				continue;
			fail_as(e, EXIT_POLICY, EINVAL, "'%s': %s: expected also '%s'",
				c->word->name, companions[i].why, with->name);
			return policy_wrap(p, c->at, e);
		}
	}
	return 0;
}

/* What a verdict does is said by one of these, which are said of no other. */
static const struct {
	enum policy_word word;
	unsigned verdicts; /* bits 1 << enum policy_verdict */
} changes[] = {
	{ WORD_AS, 1 << POLICY_MARK },
	{ WORD_FWMARK, 1 << POLICY_MARK },
	{ WORD_CLASS, 1 << POLICY_MARK },
	{ WORD_TARGET, 1 << POLICY_MIRROR | 1 << POLICY_REDIRECT },
};

static int check_changes(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	unsigned all = 0, said = 0;

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		const struct policy_clause *c = policy_clause_find(r, changes[i].word, 0);
		bool mine = changes[i].verdicts >> r->verdict & 1;

		all |= changes[i].verdicts;
		said += c && mine;
		if (!c || mine)
			continue;
		fail_as(e, EXIT_POLICY, EINVAL, "'%s' is said of `mark packet` only",
			c->word->name);
		return policy_wrap(p, c->at, e);
	}
	if (said || !(all >> r->verdict & 1))
		return 0;
	fail_as(e, EXIT_POLICY, EINVAL, "%s: expected %s", policy_verdict_name(r->verdict),
		r->verdict == POLICY_MARK ? "'as', 'fwmark' or 'class'" : "'to' and an interface");
	return policy_wrap(p, r->verdict_at, e);
}

/* What a rule about packets must say of rates. */
static int check_rate(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	const struct policy_limit *limit = &r->limit;
	const char *wrong = NULL;

	if (r->verdict == POLICY_LIMIT && !limit->per_hour)
		wrong = "the rate is missing: expected 'to' and a rate such as 1000/s";
	else if (r->verdict == POLICY_LIMIT && limit->drop_ns && limit->per == PER_ALL)
		wrong = "'then drop' is about some of all: expected 'per source', 'per network', 'per destination' or 'per port'";
	else if (r->verdict == POLICY_WATCH && limit->per_hour && !limit->drop_ns)
		wrong = "what is above the rate comes to nothing: expected 'then drop for TIME'";
	else if (r->verdict == POLICY_ANSWER && !has(r, WORD_SYN))
		wrong = "only what opens a TCP connection can be answered: expected 'syn'";
	else if (r->verdict == POLICY_ANSWER && !r->cookies)
		wrong = "it doesn't say what to answer with: expected 'with cookies'";
	if (!wrong)
		return 0;
	fail_as(e, EXIT_POLICY, EINVAL, "%s", wrong);
	return policy_wrap(p, r->verdict_at, e);
}

/* All its operations must be able to have it. */
static int check_object(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	const struct policy_object_row *o = r->object;
	unsigned strange = r->operations & ~o->operations;

	if (!strange)
		return 0;
	strange &= -strange;
	fail_as(e, EXIT_POLICY, EINVAL, "'%s%s%s' is not said of '%s'", o->before,
		*o->name ? " " : "", o->name, policy_operation_name(r->domain, strange));
	return policy_wrap(p, r->object_at, e);
}

static int check_rule(struct policy *p, struct policy_rule *r, struct err *e)
{
	if (r->object &&
	    (check_object(p, r, e) < 0 || check_values(p, r->object->form, &r->objects, e) < 0))
		return -e->code;
	vec_for_each(c, &r->clauses)
		if (check_plain(p, c, e) < 0 ||
		    (c->word->form && check_values(p, c->word->form, &c->values, e) < 0))
			return -e->code;
	if (check_alert(p, r, e) < 0 || check_accept(p, r, e) < 0 || check_repeats(p, r, e) < 0 ||
	    check_rate(p, r, e) < 0 || check_addressed(p, r, e) < 0 ||
	    check_contradictions(p, r, e) < 0 || check_companions(p, r, e) < 0)
		return -e->code;
	return check_changes(p, r, e);
}

int policy_check(struct policy *p, struct err *e)
{
	if (check_names(p, e) < 0 || check_sets(p, e) < 0)
		return -e->code;
	vec_for_each(r, &p->rules)
		if (check_rule(p, r, e) < 0)
			return -e->code;
	return 0;
}
