/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy why packet`: the guard itself says what is in force, the text what the policy beside it would do. */
#include "cmd/policy_why.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"
#include "enforce/enforce.h"
#include "enforce/packet.h"
#include "policy/judge.h"
#include "policy/words.h"
#include "sink/out.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

enum { ECHO = 8, ECHO6 = 128 }; /* types of ICMP, ICMPv6 */

/* ---- addresses ---- */

int why_address_parse(const char *text, struct ip *ret_ip, uint16_t *ret_port, struct err *e)
{
	bool six = *text == '[' || (strchr(text, ':') != strrchr(text, ':'));
	const char *begin = text + (*text == '['),
		   *end = six ? strchrnul(begin, ']') : strchrnul(begin, ':');
	const char *port = *end ? end + (*end == ']') : end;
	struct policy_network n;
	char address[64];
	uint16_t last;

	if (six && *text != '[')
		end = port = begin + strlen(begin);
	if (!str_format(address, sizeof(address), "%.*s", (int)(end - begin), begin) ||
	    policy_network_parse(address, &n, e) < 0 || strchr(address, '/'))
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "'%s': expected an address such as 192.0.2.1:22 or [2001:db8::1]:22",
			       text);
	if (*port && (policy_ports_parse(port + 1, ret_port, &last, e) < 0 || last != *ret_port))
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s': expected a port behind the address",
			       text);
	*ret_ip = (struct ip){ .family = n.family };
	memcpy(ret_ip->bytes, n.bytes, sizeof(ret_ip->bytes));
	return 0;
}

int why_protocol_parse(const char *text, uint8_t *ret, struct err *e)
{
	if (policy_protocol_parse(text, ret, e) == 0)
		return 0;
	e->exit_class = EXIT_USAGE;
	return -e->code;
}

/* ---- what is asked ---- */

static int type_parse(const char *text, struct packet_asked *asked, struct err *e)
{
	bool v4 = asked->protocol == IPPROTO_ICMP;
	int types[2], type;

	if (!v4 && asked->protocol != IPPROTO_ICMPV6)
		return fail_as(e, EXIT_USAGE, EINVAL, "'type': only packets of ICMP have one");
	if (policy_icmp_type_parse(text, &types[0], &types[1], e) < 0) {
		e->exit_class = EXIT_USAGE;
		return -e->code;
	}
	type = types[!v4];
	if (type < 0)
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s': there is none in %s", text,
			       v4 ? "ICMP" : "ICMPv6");
	asked->icmp_type = (uint8_t)type;
	return 0;
}

/* "syn", "type redirect", "on eth0" behind the addresses. */
static int rest_parse(char **words, size_t count, struct packet_asked *asked, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(words[i], "syn"))
			asked->syn = true;
		else if (str_eq(words[i], "type") && i + 1 < count) {
			if (type_parse(words[++i], asked, e) < 0)
				return -e->code;
		} else if (str_eq(words[i], "on") && i + 1 < count) {
			asked->ifindex = if_nametoindex(words[++i]);
			if (!asked->ifindex)
				return fail_as(e, EXIT_USAGE, ENODEV, "there is no interface '%s'",
					       words[i]);
		} else
			return fail_as(e, EXIT_USAGE, EINVAL,
				       "'%s': expected 'syn', 'type TYPE' or 'on INTERFACE'",
				       words[i]);
	return 0;
}

/* Where: "out", "in" (both at TC), "at forward priority -10"; nothing: where packets come in. */
static int place_parse(char ***words, size_t *count, struct packet_asked *asked, struct err *e)
{
	size_t used = 0;
	unsigned hook;

	if (*count && str_eq(**words, "out")) {
		asked->place = PACKET_OUT;
		used = 1;
	} else if (*count && str_eq(**words, "in")) {
		asked->place = PACKET_IN;
		used = 1;
	} else if (*count > 1 && str_eq(**words, "at")) {
		if (policy_hook_parse((*words)[1], &hook, e) < 0)
			return -e->code;
		asked->place = PACKET_PREROUTING + hook;
		asked->priority = POLICY_PRIORITY;
		used = 2;
		if (*count > 3 && str_eq((*words)[2], "priority")) {
			if (policy_priority_parse((*words)[3], &asked->priority, e) < 0)
				return -e->code;
			used = 4;
		}
	}
	*words += used;
	*count -= used;
	return 0;
}

int policy_why_parse(char **words, size_t count, struct packet_asked *ret_asked, struct err *e)
{
	struct packet_asked asked = *ret_asked;

	if (place_parse(&words, &count, &asked, e) < 0) {
		e->exit_class = EXIT_USAGE;
		return -e->code;
	}
	if (count < 3)
		return fail_as(
			e, EXIT_USAGE, EINVAL,
			"why packet: expected tcp, udp, icmp or another protocol, where from, where to");
	if (why_protocol_parse(words[0], &asked.protocol, e) < 0 ||
	    why_address_parse(words[1], &asked.from, &asked.from_port, e) < 0 ||
	    why_address_parse(words[2], &asked.to, &asked.to_port, e) < 0)
		return -e->code;
	if (asked.from.family != asked.to.family)
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s' and '%s' are not of one family",
			       words[1], words[2]);
	if (asked.protocol == IPPROTO_ICMP && asked.from.family == AF_INET6)
		asked.protocol = IPPROTO_ICMPV6;
	asked.icmp_type = asked.protocol == IPPROTO_ICMP ? ECHO : ECHO6;
	if (rest_parse(words + 3, count - 3, &asked, e) < 0)
		return -e->code;
	*ret_asked = asked;
	return 0;
}

/* ---- packets, by the text ---- */

struct meeting {
	const struct why *why;
	const struct why_side *side;
	const struct policy_question *question;
	const int *priority;
	unsigned rules;
};

static void on_met(const struct policy_rule *r, const struct policy_judged *judged, void *ctx)
{
	static const char *const effects[][2] = {
		[POLICY_DROP] = { "drops it", "would drop it" },
		[POLICY_PASS] = { "lets it pass", "would let it pass" },
		[POLICY_LIMIT] = { "limits it", "would limit it" },
		[POLICY_WATCH] = { "watches it", "would watch it" },
		[POLICY_MARK] = { "marks it", "would mark it" },
		[POLICY_MIRROR] = { "sends a copy elsewhere", "would send a copy elsewhere" },
		[POLICY_REDIRECT] = { "sends it elsewhere", "would send it elsewhere" },
		[POLICY_ANSWER] = { "answers it by a cookie", "would answer it by a cookie" },
	};
	struct meeting *m = ctx;
	struct strbuf *out = m->why->out;
	struct enforce_rule now;
	bool audits;

	if (r->domain == POLICY_FILTER && m->priority && policy_rule_priority(r) != *m->priority)
		return;
	m->side->rule(m->why->enforce, (size_t)(r - m->side->policy->rules.at), &now);
	audits = now.mode == POLICY_AUDIT;
	strbuf_appendf(out, "%srule '%s' (line %u) %s%s", m->side->mark, r->name, r->at.line,
		       now.expired ? "has expired" : effects[r->verdict][m->side->beside || audits],
		       audits && !now.expired ? ", but only counts (mode audit)" : "");
	if (judged->answer == ANSWER_UNKNOWN)
		strbuf_appendf(out, ", if '%s' fits", judged->lacks);
	if (r->verdict == POLICY_DROP && !m->question->syn)
		strbuf_puts(out, ", unless it is always let through");
	strbuf_putc(out, '\n');
	m->rules++;
}

int why_packet_rules(const struct why *w, const struct why_side *side,
		     const struct policy_question *q, const int *priority, const char *lacks,
		     unsigned *ret_rules, struct err *e)
{
	struct meeting m = { .why = w, .side = side, .question = q, .priority = priority };

	if (policy_judge_packet(side->policy, q, lacks, on_met, &m, e) < 0)
		return -e->code;
	*ret_rules += m.rules;
	return 0;
}

static struct policy_network host(const struct ip *ip)
{
	struct policy_network n = { .family = (uint8_t)ip->family,
				    .bits = ip->family == AF_INET ? 32 : 128 };

	memcpy(n.bytes, ip->bytes, sizeof(n.bytes));
	return n;
}

enum policy_domain policy_why_domain(const struct packet_asked *asked)
{
	return asked->place == PACKET_XDP   ? POLICY_PACKET
	       : asked->place <= PACKET_OUT ? POLICY_TRAFFIC
					    : POLICY_FILTER;
}

/* By its text: the guard answers for what is in force alone. */
static int why_packet_beside(struct enforce *f, const struct why_side *side,
			     const struct packet_asked *asked, struct strbuf *out, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(ACCOUNTS_PATH);
	const struct why w = { .enforce = f, .accounts = accounts, .out = out };
	char name[IF_NAMESIZE];
	unsigned rules = 0;
	struct policy_question q = {
		.domain = policy_why_domain(asked),
		.from = host(&asked->from),
		.to = host(&asked->to),
		.source_port = asked->from_port,
		.port = asked->to_port,
		.protocol = asked->protocol,
		.icmp_type_known = true,
		.icmp_type = asked->icmp_type,
		.syn = asked->syn,
		.out = asked->place == PACKET_OUT,
		.interface = asked->ifindex ? if_indextoname(asked->ifindex, name) : NULL,
		.user = asked->user,
		.cgroup = asked->cgroup,
		.accounts = accounts,
	};

	if (q.domain == POLICY_FILTER)
		q.hooks = 1u << (asked->place - PACKET_PREROUTING);
	if (why_packet_rules(&w, side, &q, &asked->priority, NULL, &rules, e) < 0)
		return -e->code;
	if (!rules)
		strbuf_puts(out, "beside: no rule is about it: it would pass\n");
	return 0;
}

int policy_why_packet(struct enforce *f, const struct object *guard,
		      const struct packet_asked *asked, struct err *e)
{
	auto_done(strbuf) out = { 0 };
	struct why_side sides[2];
	unsigned count = why_sides(f, sides);

	if (enforce_state(f)->in_force && !guard)
		strbuf_puts(&out, "passes: no rule is about packets there\n");
	else if (enforce_state(f)->in_force &&
		 packet_why(guard, enforce_state(f)->policy, asked, &out, e) < 0)
		return -e->code;
	for (unsigned i = 0; i < count; i++)
		if (sides[i].beside && why_packet_beside(f, &sides[i], asked, &out, e) < 0)
			return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}
