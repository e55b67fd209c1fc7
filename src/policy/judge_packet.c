/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a rule about the addresses, ports, protocol and place of a packet, or of what a socket does? */
#include "policy/judge.h"

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <netinet/in.h>

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

struct asked {
	const struct policy_network *address;
	uint16_t port;
	const char *interface;
	uint8_t protocol, icmp_type;
	bool found;
};

static int on_network(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	const struct policy_network *is = asked->address;
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
	struct asked *asked = ctx;
	uint16_t first, last;

	(void)at;
	if (policy_ports_parse(text, &first, &last, e) < 0)
		return -e->code;
	asked->found |= first <= asked->port && asked->port <= last;
	return 0;
}

static int on_protocol(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	uint8_t protocol;

	(void)at;
	if (policy_protocol_parse(text, &protocol, e) < 0)
		return -e->code;
	asked->found |= protocol == asked->protocol;
	return 0;
}

static int on_icmp_type(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	int type, type6;

	(void)at;
	if (policy_icmp_type_parse(text, &type, &type6, e) < 0)
		return -e->code;
	asked->found |= is_icmp(asked->protocol) &&
			(asked->protocol == IPPROTO_ICMP ? type : type6) == asked->icmp_type;
	return 0;
}

static int on_interface(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;

	(void)at, (void)e;
	asked->found |= str_eq(text, asked->interface);
	return 0;
}

/* What a word without values says. false: it says nothing of a packet. */
static bool is_kind(const struct policy_question *q, enum policy_word word, bool *ret_is)
{
	const struct {
		enum policy_word word;
		bool is;
	} kinds[] = {
		{ WORD_TCP, q->protocol == IPPROTO_TCP },
		{ WORD_UDP, q->protocol == IPPROTO_UDP },
		{ WORD_ICMP, is_icmp(q->protocol) },
		{ WORD_SYN, q->syn },
		{ WORD_FRAGMENT, q->fragment },
		{ WORD_MALFORMED, q->malformed },
		{ WORD_OUT, q->out },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].word == word) {
			*ret_is = kinds[i].is;
			return true;
		}
	return false;
}

/* What a word with values is said of. */
static policy_value_fn *value_of(const struct policy_question *q, enum policy_word word,
				 struct asked *ret_asked, bool *ret_known)
{
	const struct {
		enum policy_word word;
		policy_value_fn *fn;
		bool known;
		struct asked asked;
	} values[] = {
		{ WORD_FROM, on_network, q->from.family, { .address = &q->from } },
		{ WORD_TO, on_network, q->to.family, { .address = &q->to } },
		{ WORD_SOURCE_PORT, on_port, q->source_port, { .port = q->source_port } },
		{ WORD_PORT, on_port, q->port, { .port = q->port } },
		{ WORD_ON, on_interface, q->interface, { .interface = q->interface } },
		{ WORD_PROTOCOL, on_protocol, true, { .protocol = q->protocol } },
		{ WORD_ICMP_TYPE,
		  on_icmp_type,
		  q->icmp_type_known || !is_icmp(q->protocol),
		  { .protocol = q->protocol, .icmp_type = q->icmp_type } },
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (values[i].word == word) {
			*ret_asked = values[i].asked;
			*ret_known = values[i].known;
			return values[i].fn;
		}
	return NULL;
}

/* A socket that takes all addresses is in every network, and outside of it too; so of ports. */
static int clause_holds(const struct policy *p, const struct policy_clause *c,
			const struct policy_question *q, enum policy_answer *ret, struct err *e)
{
	struct asked asked = { 0 };
	bool known = true;
	policy_value_fn *fn;

	*ret = ANSWER_YES;
	if (is_kind(q, c->word->word, &asked.found)) {
		*ret = asked.found != c->unless ? ANSWER_YES : ANSWER_NO;
		return 0;
	}
	fn = value_of(q, c->word->word, &asked, &known);
	if (!fn)
		return 0;
	if (!known) {
		*ret = q->domain == POLICY_SOCKET ? ANSWER_YES : ANSWER_UNKNOWN;
		return 0;
	}
	if (policy_each(p, &c->values, fn, &asked, e) < 0)
		return -e->code;
	*ret = asked.found != c->unless ? ANSWER_YES : ANSWER_NO;
	return 0;
}

/* Is the rule asked where the packet comes by? At interfaces without `on`: at all but loopback. */
static enum policy_answer is_asked(const struct policy_rule *r, const struct policy_question *q)
{
	const struct policy_clause *at = policy_clause_find(r, WORD_AT, 0);
	const struct policy_clause *on = policy_clause_find(r, WORD_ON, 0);
	struct err ignored = { 0 };
	unsigned hook = 0;

	if (r->domain == POLICY_TRAFFIC && !policy_clause_find(r, WORD_OUT, 0) == q->out)
		return ANSWER_NO;
	if (r->domain == POLICY_PACKET && q->out)
		return ANSWER_NO;
	if (r->domain == POLICY_FILTER) {
		if (!at || policy_hook_parse(at->values.at[0].text, &hook, &ignored) < 0)
			return ANSWER_NO;
		return q->hooks & 1u << hook         ? ANSWER_YES
		       : q->maybe_hooks & 1u << hook ? ANSWER_UNKNOWN
						     : ANSWER_NO;
	}
	if ((r->domain == POLICY_PACKET || r->domain == POLICY_TRAFFIC) && (!on || on->unless) &&
	    q->interface && str_eq(q->interface, "lo"))
		return ANSWER_NO;
	return ANSWER_YES;
}

int judge_packet(const struct policy *p, const struct policy_rule *r,
		 const struct policy_question *q, struct policy_judged *ret, struct err *e)
{
	enum policy_answer asked = is_asked(r, q);

	if (asked == ANSWER_UNKNOWN)
		*ret = (struct policy_judged){ ANSWER_UNKNOWN, "which hooks it came by" };
	else if (asked == ANSWER_NO)
		ret->answer = ANSWER_NO;
	for (size_t i = 0; ret->answer && i < r->clauses.len; i++) {
		const struct policy_clause *c = &r->clauses.at[i];
		enum policy_answer one;

		if (c->word->conditional || c->word->single)
			continue;
		if (clause_holds(p, c, q, &one, e) < 0)
			return -e->code;
		if (one == ANSWER_NO)
			ret->answer = ANSWER_NO;
		else if (one == ANSWER_UNKNOWN)
			*ret = (struct policy_judged){ ANSWER_UNKNOWN, c->word->name };
	}
	return 0;
}

/* ---- one rule after the other ---- */

/* Does the rule decide, so that no later one of its place is asked? */
static bool decides(const struct policy_rule *rule)
{
	return rule->verdict == POLICY_PASS || rule->verdict == POLICY_REDIRECT ||
	       (rule->verdict == POLICY_DROP && !policy_rule_audits(rule));
}

/* Are they asked one after the other? */
static bool same_place(const struct policy_rule *a, const struct policy_rule *b)
{
	return a->domain == b->domain &&
	       (a->domain != POLICY_FILTER ||
		(str_eq(policy_clause_find(a, WORD_AT, 0)->values.at[0].text,
			policy_clause_find(b, WORD_AT, 0)->values.at[0].text) &&
		 policy_rule_priority(a) == policy_rule_priority(b)));
}

static int judge_place(const struct policy *p, const struct policy_rule *first,
		       const struct policy_question *q, const char *lacks, policy_met_fn *fn,
		       void *ctx, struct err *e)
{
	for (const struct policy_rule *rule = first; rule < p->rules.at + p->rules.len; rule++) {
		struct policy_judged judged;

		if (!same_place(first, rule))
			continue;
		if (policy_judge(p, rule, q, &judged, e) < 0)
			return -e->code;
		if (judged.answer == ANSWER_NO)
			continue;
		if (judged.answer == ANSWER_YES && lacks)
			judged = (struct policy_judged){ ANSWER_UNKNOWN, lacks };
		fn(rule, &judged, ctx);
		if (!decides(rule))
			continue;
		if (judged.answer == ANSWER_YES)
			return 0;
		lacks = judged.lacks;
	}
	return 0;
}

int policy_judge_packet(const struct policy *p, const struct policy_question *q, const char *lacks,
			policy_met_fn *fn, void *ctx, struct err *e)
{
	vec_for_each(rule, &p->rules) {
		bool again = false;

		for (const struct policy_rule *r = p->rules.at; r < rule; r++)
			again |= same_place(r, rule);
		if (rule->domain == q->domain && !again &&
		    judge_place(p, rule, q, lacks, fn, ctx, e) < 0)
			return -e->code;
	}
	return 0;
}
