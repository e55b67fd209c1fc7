/* SPDX-License-Identifier: BSD-2-Clause */
/* Which rule decides about a packet: the guard that stands there is asked, by a frame made for it. */
#include "enforce/packet.h"

#include <errno.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/arrays.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/xdp.h"

enum { FRAME_BYTES = PACKET_SAMPLE_MAX, ETHERNET_BYTES = 14, TCP_BYTES = 20 };
enum { FLAG_SYN = 2, FLAG_ACK = 16 }; /* of TCP */

/* ---- the frame ---- */

struct frame {
	uint8_t bytes[FRAME_BYTES];
	size_t size;
};

static void *frame_add(struct frame *f, size_t size)
{
	void *at = f->bytes + f->size;

	f->size += size;
	return at;
}

static void ethernet_add(struct frame *f, uint64_t question, const struct packet_asked *asked)
{
	struct packet_question begin = { question, asked->ifindex };
	uint8_t *bytes = frame_add(f, ETHERNET_BYTES);
	bool v4 = asked->from.family == AF_INET;

	memcpy(bytes, &begin, sizeof(begin));
	bytes[12] = v4 ? 0x08 : 0x86;
	bytes[13] = v4 ? 0x00 : 0xdd;
}

static void ip_add(struct frame *f, const struct packet_asked *asked, size_t payload)
{
	if (asked->from.family == AF_INET) {
		struct iphdr *ip = frame_add(f, sizeof(*ip));

		ip->version = 4;
		ip->ihl = 5;
		ip->ttl = 64;
		ip->tot_len = htons((uint16_t)(sizeof(*ip) + payload));
		ip->protocol = asked->protocol;
		memcpy(&ip->saddr, asked->from.bytes, sizeof(ip->saddr));
		memcpy(&ip->daddr, asked->to.bytes, sizeof(ip->daddr));
	} else {
		struct ipv6hdr *ip = frame_add(f, sizeof(*ip));

		ip->version = 6;
		ip->hop_limit = 64;
		ip->payload_len = htons((uint16_t)payload);
		ip->nexthdr = asked->protocol;
		memcpy(&ip->saddr, asked->from.bytes, sizeof(ip->saddr));
		memcpy(&ip->daddr, asked->to.bytes, sizeof(ip->daddr));
	}
}

static size_t transport_bytes(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? TCP_BYTES : 16;
}

/* Ports lie at the same place in all protocols that have them. */
static void transport_add(struct frame *f, const struct packet_asked *asked)
{
	size_t size = transport_bytes(asked->protocol);
	uint8_t *at = frame_add(f, size);

	if (asked->protocol == IPPROTO_ICMP || asked->protocol == IPPROTO_ICMPV6) {
		*at = asked->icmp_type;
		return;
	}
	memcpy(at, &(uint16_t){ htons(asked->from_port) }, 2);
	memcpy(at + 2, &(uint16_t){ htons(asked->to_port) }, 2);
	if (asked->protocol == IPPROTO_TCP) {
		at[12] = 5 << 4;
		at[13] = asked->syn ? FLAG_SYN : FLAG_ACK;
	} else if (asked->protocol == IPPROTO_UDP) {
		memcpy(at + 4, &(uint16_t){ htons((uint16_t)size) }, 2);
	}
}

/* ---- asking ---- */

static const char *const guard_names[PACKET_PLACES] = {
	[PACKET_XDP] = "packet",    [PACKET_IN] = "traffic",
	[PACKET_OUT] = "traffic",   [PACKET_PREROUTING] = "filter",
	[PACKET_INPUT] = "filter",  [PACKET_FORWARD] = "filter",
	[PACKET_OUTPUT] = "filter", [PACKET_POSTROUTING] = "filter",
};

const char *packet_guard_name(enum packet_place place)
{
	return guard_names[place];
}

static int traffic_run(const struct object *o, const struct packet_asked *asked,
		       const struct frame *frame, struct err *e)
{
	auto_close int fd = -1;

	if (traffic_program_open(asked->place == PACKET_OUT, &fd, e) < 0 ||
	    traffic_sender_put(o, asked->user, asked->cgroup, e) < 0)
		return -e->code;
	return program_run(fd, frame->bytes, frame->size, e);
}

/* The program that stands where the packet is asked about. */
static int frame_run(const struct object *o, const struct packet_asked *asked,
		     const struct frame *frame, struct err *e)
{
	uint32_t action;

	if (asked->place == PACKET_XDP)
		return xdp_run(o, "packet", frame->bytes, frame->size, &action, e);
	if (asked->place >= PACKET_PREROUTING)
		return filter_run(o, asked->place - PACKET_PREROUTING, asked->priority,
				  asked->from.family == AF_INET6, frame->bytes, frame->size, e);
	return traffic_run(o, asked, frame, e);
}

/* Both generations are told the question: the guard answers by the one that is in force. */
static void question_put(const struct array_view *plans, uint64_t question)
{
	struct packet_plan *plan = plans->at;

	for (unsigned gen = 0; gen < 2; gen++)
		__atomic_store_n(&plan[gen].question, question, __ATOMIC_RELEASE);
}

static int ask(const struct object *o, const struct packet_asked *asked,
	       struct packet_answer *ret_answer, struct err *e)
{
	struct array_view plans = { 0 };
	struct frame frame = { 0 };
	uint64_t question = 0;
	int code;

	if (getrandom(&question, sizeof(question), 0) != sizeof(question) || !question)
		return fail(e, EAGAIN, "no random number is to be had");
	ethernet_add(&frame, question, asked);
	ip_add(&frame, asked, transport_bytes(asked->protocol));
	transport_add(&frame, asked);
	if (array_view(o, "packet_plans", &plans, e) < 0)
		return -e->code;
	question_put(&plans, question);
	code = frame_run(o, asked, &frame, e);
	question_put(&plans, 0);
	array_view_done(&plans);
	if (code < 0 || array_read(o, "packet_answers", 0, ret_answer, e) < 0)
		return -e->code;
	if (ret_answer->question != question)
		return fail(e, ENOENT, "the guard says nothing: no policy is in force");
	return 0;
}

size_t packet_sample(uint8_t bytes[static PACKET_SAMPLE_MAX])
{
	const struct packet_asked asked = {
		.from = { .family = AF_INET, .bytes = { 192, 0, 2, 1 } },
		.to = { .family = AF_INET, .bytes = { 198, 51, 100, 1 } },
		.protocol = IPPROTO_UDP,
		.from_port = 50000,
		.to_port = 9,
	};
	struct frame frame = { 0 };

	ethernet_add(&frame, 0, &asked);
	ip_add(&frame, &asked, transport_bytes(asked.protocol));
	transport_add(&frame, &asked);
	memcpy(bytes, frame.bytes, frame.size);
	return frame.size;
}

/* ---- in words ---- */

static const char *const forms[PACKET_FORMS] = {
	[PACKET_WHOLE] = "whole",
	[PACKET_NOT_IP] = "not IP",
	[PACKET_FIRST_FRAGMENT] = "first fragment",
	[PACKET_LATER_FRAGMENT] = "later fragment",
	[PACKET_TRUNCATED] = "malformed: cut off",
	[PACKET_TOO_MANY_TAGS] = "malformed: more VLAN tags than are followed",
	[PACKET_TOO_MANY_HEADERS] = "malformed: more IPv6 headers than are followed",
	[PACKET_CONTRADICTION] = "malformed: its headers contradict each other",
	[PACKET_TINY_FRAGMENT] = "malformed: a fragment that splits a header",
	[PACKET_PORT_ZERO] = "malformed: port 0",
	[PACKET_BAD_FLAGS] = "malformed: TCP flags that don't go together",
	[PACKET_LAND] = "malformed: from the address it goes to",
	[PACKET_BAD_SOURCE] = "malformed: an address that no host sends from",
};

static const char *const keeps[PACKET_KEEPS] = {
	[PACKET_KEEP_NEIGHBOUR] = "router and neighbour discovery",
	[PACKET_KEEP_PATH_MTU] = "it tells the size that fits the path",
	[PACKET_KEEP_DHCP] = "an answer of a DHCP server",
	[PACKET_KEEP_ESTABLISHED] = "of an established TCP connection of this machine",
};

static bool is_met(const struct packet_answer *a, size_t rule)
{
	return a->met.words[rule / 64] >> rule % 64 & 1;
}

static void decision_tell(const struct policy *p, const struct packet_answer *a, struct strbuf *out)
{
	const struct policy_rule *r;

	if (a->rule >= p->rules.len) {
		strbuf_puts(out, "passes: no rule decides about it\n");
		return;
	}
	r = &p->rules.at[a->rule];
	strbuf_appendf(out, "%s: rule '%s' (line %u) decides",
		       a->drops                        ? "dropped"
		       : r->verdict == POLICY_REDIRECT ? "sent elsewhere"
						       : "passes",
		       r->name, r->at.line);
	if (a->keep < PACKET_KEEPS && keeps[a->keep])
		strbuf_appendf(out, ", which would drop it; always let through: %s",
			       keeps[a->keep]);
	strbuf_putc(out, '\n');
}

/* Rules that it met before the one that decides. */
static void others_tell(const struct policy *p, const struct packet_answer *a, struct strbuf *out)
{
	for (size_t i = 0; i < p->rules.len && i < a->rule; i++) {
		const struct policy_rule *r = &p->rules.at[i];
		const char *why =
			r->verdict == POLICY_LIMIT    ? "limits it: dropped when it is too much"
			: r->verdict == POLICY_ANSWER ? "answers it by a cookie when it can"
			: r->verdict == POLICY_WATCH && r->limit.per_hour ? "drops it in a flood"
			: r->verdict == POLICY_WATCH                      ? "watches it"
			: r->verdict == POLICY_MARK                       ? "marks it"
			: r->verdict == POLICY_MIRROR                     ? "sends a copy elsewhere"
			: policy_rule_audits(r) ? "would refuse it; it only audits"
						: "has expired";

		if (is_met(a, i))
			strbuf_appendf(out, "before it: rule '%s' (line %u) %s\n", r->name,
				       r->at.line, why);
	}
}

int packet_why(const struct object *o, const struct policy *p, const struct packet_asked *asked,
	       struct strbuf *out, struct err *e)
{
	struct packet_answer answer;

	if (asked->from.family != asked->to.family)
		return fail_as(e, EXIT_USAGE, EINVAL, "addresses of IPv4 and IPv6 in one packet");
	if (ask(o, asked, &answer, e) < 0)
		return -e->code;
	decision_tell(p, &answer, out);
	others_tell(p, &answer, out);
	if (answer.form != PACKET_WHOLE && answer.form < PACKET_FORMS)
		strbuf_appendf(out, "found to be %s\n", forms[answer.form]);
	return 0;
}

int packet_counts(const struct object *o, guard_count_fn *fn, void *ctx, struct err *e)
{
	return packet_counts_at(o, "", fn, ctx, e);
}

int packet_counts_at(const struct object *o, const char *where, guard_count_fn *fn, void *ctx,
		     struct err *e)
{
	uint64_t count;

	for (unsigned i = 0; i < PACKET_FORMS + PACKET_KEEPS; i++) {
		const char *name = i < PACKET_FORMS ? forms[i] : keeps[i - PACKET_FORMS];
		auto_free char *what = xasprintf(
			"%s%s%s", where, i < PACKET_FORMS ? "" : "let through: ", name ?: "");

		if (!name || i == PACKET_WHOLE)
			continue;
		if (array_sum(o, "packet_forms", i, &count, e) < 0)
			return -e->code;
		if (count)
			fn(what, count, ctx);
	}
	return 0;
}
