/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules about packets cut nobody off who is connected, but who would connect anew: what opens a connection to
 * sshd, and the answer to it, are put to the policy.
 */
#include "policy/lint.h"

#include "base/err.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <time.h>

enum { CANDIDATES = 16, CLIENT_PORT = 50000 };
enum { PREROUTING = 1 << 0, INPUT = 1 << 1, OUTPUT = 1 << 3, POSTROUTING = 1 << 4 };

/* ---- one connection ---- */

static bool has_expired(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_EXPIRES, 0);
	int64_t now_s = time(NULL), end_s;
	struct err ignored;

	return c && policy_date_parse(c->values.at[0].text, now_s, &end_s, &ignored) == 0 &&
	       end_s <= now_s;
}

static void on_rule(const struct policy_rule *r, const struct policy_judged *judged, void *ctx)
{
	const struct policy_rule **cut = ctx;
	bool takes = r->verdict == POLICY_DROP || r->verdict == POLICY_REDIRECT;

	if (takes && judged->answer == ANSWER_YES && !policy_rule_audits(r) && !has_expired(r))
		*cut = r;
}

/* The rule that takes a packet of it; NULL: it is possible, perhaps only. */
static int login_judge(const struct policy *p, const struct lint_login *l,
		       const struct policy_rule **ret_cut, struct err *e)
{
	const struct policy_question in = { .from = l->peer,
					    .to = l->own,
					    .source_port = CLIENT_PORT,
					    .port = l->port,
					    .protocol = IPPROTO_TCP,
					    .syn = true,
					    .hooks = PREROUTING | INPUT,
					    .interface = *l->interface ? l->interface : NULL };
	struct policy_question out = in;
	static const enum policy_domain domains[] = { POLICY_PACKET, POLICY_TRAFFIC,
						      POLICY_FILTER };

	out.from = l->own;
	out.to = l->peer;
	out.source_port = l->port;
	out.port = CLIENT_PORT;
	out.syn = false; /* it is an answer */
	out.out = true;
	out.hooks = OUTPUT | POSTROUTING;
	*ret_cut = NULL;
	for (size_t i = 0; i < ARRAY_LEN(domains) && !*ret_cut; i++) {
		const struct policy_question *const ways[] = { &in, &out };

		for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
			struct policy_question q = *ways[way];

			q.domain = domains[i];
			if (policy_judge_packet(p, &q, NULL, on_rule, ret_cut, e) < 0)
				return -e->code;
		}
	}
	return 0;
}

/* ---- from anywhere ---- */

typedef vec(struct policy_network) network_list;

/* One host of the network. */
static int on_network(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	network_list *list = ctx;
	struct policy_network n;

	(void)at;
	if (policy_network_parse(text, &n, e) < 0)
		return -e->code;
	if (n.bits < (n.family == AF_INET ? 32 : 128))
		n.bytes[n.family == AF_INET ? 3 : 15] |= 1;
	n.bits = n.family == AF_INET ? 32 : 128;
	vec_push(list, n);
	return list->len >= CANDIDATES;
}

/* Where somebody could come from: whom rules let in by name, then anybody. */
static int candidates_find(const struct policy *p, network_list *list, struct err *e)
{
	static const char *const anybody[] = { "45.33.32.1",    "130.89.1.1",    "10.11.12.13",
					       "192.168.11.12", "2a01:4f8:1::1", "2600:9000:1::1",
					       "fd11:12::13" };

	vec_for_each(r, &p->rules)
		vec_for_each(c, &r->clauses) {
			bool lets =
				c->unless ? r->verdict == POLICY_DROP : r->verdict == POLICY_PASS;

			if (c->word->word == WORD_FROM && lets && list->len < CANDIDATES &&
			    policy_each(p, &c->values, on_network, list, e) < 0)
				return -e->code;
		}
	for (size_t i = 0; i < ARRAY_LEN(anybody); i++)
		(void)!on_network(anybody[i], (struct policy_at){ 0 }, list, e);
	return 0;
}

/* Of somebody who isn't there: from any of the candidates. */
static int anybody_judge(const struct policy *p, const struct lint_login *login,
			 const network_list *candidates, const struct policy_rule **ret_cut,
			 struct err *e)
{
	struct lint_login l = *login;

	*ret_cut = NULL;
	vec_for_each(peer, candidates) {
		if (peer->family != l.own.family)
			continue;
		l.peer = *peer;
		if (login_judge(p, &l, ret_cut, e) < 0)
			return -e->code;
		if (!*ret_cut)
			return 0;
	}
	return 0;
}

/* ---- all of them ---- */

static int locks_out(const struct policy *p, const struct policy_rule *r,
		     const struct lint_login *l, struct err *e)
{
	char who[INET6_ADDRSTRLEN] = "nobody";

	if (l->is_there)
		inet_ntop(l->peer.family, l->peer.bytes, who, sizeof(who));
	fail_as(e, EXIT_POLICY, EPERM,
		"rule '%s' would lock you out: %s could%s log in by ssh again (port %u)", r->name,
		who, l->is_there ? " not" : "", l->port);
	hint(e,
	     "put `allow packet from ADDRESS tcp port %u` before it; or apply it with --confirm, which undoes it unless you say `confirm`",
	     l->port);
	return policy_wrap(p, r->at, e);
}

int lint_logins_judge(const struct policy *p, const lint_logins *logins, struct err *e)
{
	const struct policy_rule *cut = NULL;
	network_list candidates = { 0 };
	int err = candidates_find(p, &candidates, e);

	vec_for_each(l, logins) {
		if (err < 0)
			break;
		err = l->is_there ? login_judge(p, l, &cut, e)
				  : anybody_judge(p, l, &candidates, &cut, e);
		if (!cut)
			break;
	}
	vec_done(&candidates);
	return err < 0 || !cut ? err : locks_out(p, cut, logins->at, e);
}

int policy_lint_logins(const struct policy *p, struct err *e)
{
	lint_logins logins = { 0 };
	int err;

	lint_logins_find(&logins);
	err = lint_logins_judge(p, &logins, e);
	vec_done(&logins);
	return err;
}
