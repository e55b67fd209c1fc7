/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a rule about an operation? By text; paths of the policy are resolved where they exist. */
#include "policy/judge.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>

struct asked {
	const char *what;
	bool under; /* a directory above it will do */
	bool found;
	struct accounts *accounts;
};

/* Is `path` `dir`, or below it? */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (!str_startswith(path, dir))
		return false;
	return path[len] == '\0' || path[len] == '/' || (len && dir[len - 1] == '/');
}

static int on_path(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	char resolved[PATH_MAX];
	const char *path = realpath(text, resolved) ?: text;

	(void)at, (void)e;
	asked->found |= asked->under ? is_below(asked->what, path) : str_eq(asked->what, path);
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
		asked->found |= *text == '/' && is_below(asked->what, text);
	else
		asked->found |= part > asked->what && part[-1] == '/' && is_below(part, text);
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
	struct asked asked = { .accounts = q->accounts };

	*ret = ANSWER_UNKNOWN;
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

static int conditions_hold(const struct policy *p, const struct policy_rule *r,
			   const struct policy_question *q, enum policy_answer *ret, struct err *e)
{
	enum policy_answer all = ANSWER_YES, one;

	vec_for_each(c, &r->clauses) {
		if (!c->word->conditional)
			continue;
		if (holds(p, c, q, &one, e) < 0)
			return -e->code;
		if (one == ANSWER_UNKNOWN)
			all = ANSWER_UNKNOWN;
		else if ((one == ANSWER_YES) == c->unless) {
			*ret = ANSWER_NO;
			return 0;
		}
	}
	*ret = all;
	return 0;
}

/* Is the rule about the object? */
static int is_about(const struct policy *p, const struct policy_rule *r,
		    const struct policy_question *q, enum policy_answer *ret, struct err *e)
{
	static policy_value_fn *const fns[] = {
		[OBJECT_FILE] = on_path, [OBJECT_EXE] = on_path,
		[OBJECT_USER] = on_user, [OBJECT_CGROUP] = on_cgroup,
		[OBJECT_TO] = on_user,   [OBJECT_CAPABILITY] = on_capability,
	};
	struct asked asked = { .what = q->path, .under = r->under, .accounts = q->accounts };

	*ret = ANSWER_YES;
	if (!r->object)
		return 0;
	*ret = ANSWER_UNKNOWN;
	if (r->domain != POLICY_FILE && r->object->object != q->object)
		return 0;
	if (policy_each(p, &r->objects, fns[r->object->object], &asked, e) < 0)
		return -e->code;
	*ret = asked.found ? ANSWER_YES : ANSWER_NO;
	return 0;
}

/* ---- sockets ---- */

struct asked_address {
	const struct policy_question *q;
	bool found;
};

static int on_network(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked_address *asked = ctx;
	const struct policy_network *is = &asked->q->address;
	struct policy_network n;

	(void)at;
	if (policy_network_parse(text, &n, e) < 0)
		return -e->code;
	if (n.family != is->family)
		return 0;
	for (unsigned bit = 0; bit < n.bits; bit++)
		if ((n.bytes[bit / 8] ^ is->bytes[bit / 8]) & (0x80 >> bit % 8))
			return 0;
	asked->found = true;
	return 0;
}

static int on_port(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked_address *asked = ctx;
	uint16_t first, last;

	(void)at;
	if (policy_ports_parse(text, &first, &last, e) < 0)
		return -e->code;
	asked->found |= first <= asked->q->port && asked->q->port <= last;
	return 0;
}

static bool protocol_is(const struct policy_question *q, enum policy_word word)
{
	if (word == WORD_TCP)
		return q->protocol == IPPROTO_TCP;
	if (word == WORD_UDP)
		return q->protocol == IPPROTO_UDP;
	return q->protocol == IPPROTO_ICMP || q->protocol == IPPROTO_ICMPV6;
}

/* Does a clause about the address hold? All addresses are in every network, and outside of it too. */
static int address_holds(const struct policy *p, const struct policy_clause *c,
			 const struct policy_question *q, bool *ret_holds, struct err *e)
{
	struct asked_address asked = { .q = q };

	*ret_holds = true;
	if (c->word->form == FORM_NONE)
		asked.found = protocol_is(q, c->word->word);
	else if (c->word->word == WORD_TO ? !q->address.family : !q->port)
		return 0;
	else if (policy_each(p, &c->values, c->word->word == WORD_TO ? on_network : on_port, &asked,
			     e) < 0)
		return -e->code;
	*ret_holds = asked.found != c->unless;
	return 0;
}

static int socket_is_meant(const struct policy *p, const struct policy_rule *r,
			   const struct policy_question *q, enum policy_answer *ret, struct err *e)
{
	bool holds_all = true;

	vec_for_each(c, &r->clauses) {
		if (c->word->conditional || c->word->single)
			continue;
		if (address_holds(p, c, q, &holds_all, e) < 0)
			return -e->code;
		if (!holds_all)
			break;
	}
	*ret = holds_all ? ANSWER_YES : ANSWER_NO;
	return 0;
}

int policy_judge(const struct policy *p, const struct policy_rule *r,
		 const struct policy_question *q, enum policy_answer *ret_answer, struct err *e)
{
	enum policy_answer about;

	*ret_answer = ANSWER_NO;
	if (r->domain != q->domain || !(r->operations & q->operations))
		return 0;
	if ((q->domain == POLICY_SOCKET ? socket_is_meant : is_about)(p, r, q, &about, e) < 0)
		return -e->code;
	if (about == ANSWER_NO)
		return 0;
	if (conditions_hold(p, r, q, ret_answer, e) < 0)
		return -e->code;
	if (*ret_answer == ANSWER_YES)
		*ret_answer = about;
	return 0;
}
