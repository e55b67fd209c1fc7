/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * guard.packet: the rules about packets, at XDP: before the kernel spends anything on them. A packet is
 * read once, the rules it meets are found by tables, the first that is final decides.
 */
#define EVENT_MAX   512
#define GUARD_ALONE /* XDP holds its CPU */
#include "guard.h"

#include "limit.h"
#include "networks.h"
#include "packet.h"

PROBE(packet, "guard", "Packets that a policy dropped, would have dropped, or watches", INTERNAL);

EVENT(decision, "A packet that a rule of the policy is about")
{
	char rule[POLICY_NAME] KIND("str") DOC("rule of the policy");
	enum outcome outcome DOC("what came of it");
	enum packet_form form DOC("how the packet was found: whole, a fragment, what is wrong with it");
	u8 protocol DOC("IP protocol: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6");
	u8 flags KIND("hex") HIDE DOC("of TCP: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK, 32 URG");
	struct ip from DOC("source address");
	u16 from_port KIND("port") DOC("source port; 0: it has none, or none that can be read");
	struct ip to DOC("destination address");
	u16 to_port KIND("port") DOC("destination port");
	u32 length_bytes UNIT("bytes") DOC("size of the frame");
	u32 ifindex KIND("ifindex") DOC("network device it came by");
	u64 since DOC("packets of the rule on this CPU since the last that was told, with this one");
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct packet_plan);
} packet_plans SEC(".maps");

static __always_inline struct packet_plan *plan_of(u32 gen)
{
	return bpf_map_lookup_elem(&packet_plans, &gen);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PACKET_FORMS + PACKET_KEEPS);
	__type(key, u32);
	__type(value, u64);
} packet_forms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, POLICY_SLOTS + 1);
	__type(key, u32);
	__type(value, struct packet_told);
} packet_tolds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct packet_answer);
} packet_answers SEC(".maps");

struct in_hand {
	struct packet packet;
	struct packet_mask met; /* rules that are still to be asked */
};

/* The packet in hand. XDP holds its CPU; and what lies in a map the verifier doesn't follow value by
 * value, nor what is behind a global function: else it would try every rule with every kind of packet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct in_hand);
} packet_here SEC(".maps");

static __always_inline struct in_hand *packet_in_hand(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&packet_here, &zero);
}

static __always_inline struct packet *packet_space(void)
{
	struct in_hand *in_hand = packet_in_hand();

	return in_hand ? &in_hand->packet : NULL;
}

static __always_inline void form_count(u32 at)
{
	u64 *count = bpf_map_lookup_elem(&packet_forms, &at);

	if (count)
		*count += 1;
}

/* ---- which rules it meets ---- */

static __always_inline void mask_and(struct packet_mask *to, const struct packet_mask *from,
				     u32 words)
{
	to->words[0] &= from->words[0];
	if (words == 1)
		return;
	_Pragma("unroll") for (int i = 1; i < PACKET_WORDS; i++) to->words[i] &= from->words[i];
}

static __always_inline void field_and(struct packet_mask *to, const struct packet_plan *plan,
				      enum packet_field field, u32 class)
{
	mask_and(to, &plan->masks[field][class & (PACKET_CLASSES - 1)], plan->words);
}

/* Is there any network in the /24 of an IPv4 address? */
static __always_inline bool sieve_holds(u32 gen, u32 address)
{
	const struct packet_sieve *sieve = bpf_map_lookup_elem(&packet_sieves, &gen);

	return sieve && sieve->words[address >> 14] >> (address >> 8 & 63) & 1;
}

static __always_inline u32 address_class(const struct packet_plan *plan, u32 gen,
					 const struct packet *p, enum packet_field field)
{
	const u32 *address = field == PACKET_FROM ? p->source : p->dest;
	u32 first = bpf_ntohl(address[0]);

	if (p->family == 4) {
		if (field == PACKET_FROM && plan->has_sieve && !sieve_holds(gen, first))
			return 0;
		return network_class4(plan, gen, &plan->pieces[field][first >> 16], first);
	}
	if (p->family == 6)
		return network_class6(plan, gen, &plan->pieces[2 + field][first >> 16],
				      address);
	return 0;
}

static __always_inline u32 device_class(const struct packet_plan *plan, u32 ifindex)
{
	const struct packet_device *device =
		&plan->devices[(ifindex * plan->spread) >> 22 & (PACKET_DEVICES - 1)];

	return device->ifindex == ifindex ? device->class : 0;
}

static __always_inline void rules_met(const struct packet_plan *plan, u32 gen,
				      const struct packet *p, struct packet_mask *met)
{
	u32 uses = plan->uses;

	*met = plan->kinds[p->kinds & (PACKET_KINDS - 1)];
	if (uses & 1 << PACKET_SOURCE_PORT)
		field_and(met, plan, PACKET_SOURCE_PORT,
			  p->has_ports ? plan->ports[0][p->source_port] : 0);
	if (uses & 1 << PACKET_PORT)
		field_and(met, plan, PACKET_PORT, p->has_ports ? plan->ports[1][p->dest_port] : 0);
	if (uses & 1 << PACKET_ON)
		field_and(met, plan, PACKET_ON, device_class(plan, p->ifindex));
	if (uses & 1 << PACKET_FROM)
		field_and(met, plan, PACKET_FROM, address_class(plan, gen, p, PACKET_FROM));
	if (uses & 1 << PACKET_TO)
		field_and(met, plan, PACKET_TO, address_class(plan, gen, p, PACKET_TO));
}

/* By counting the bits below it: for __builtin_ctzll() clang 14 and 16 want a table, and crash. No
 * branches, of which the verifier would follow each. */
static __always_inline u32 lowest_bit(u64 word)
{
	u64 n = (word & -word) - 1;

	n -= n >> 1 & 0x5555555555555555ull;
	n = (n & 0x3333333333333333ull) + (n >> 2 & 0x3333333333333333ull);
	n = (n + (n >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return n * 0x0101010101010101ull >> 56;
}

/* Takes the first out; POLICY_RULES: there is none. */
static __always_inline u32 mask_take(struct packet_mask *mask)
{
	_Pragma("unroll") for (u32 i = 0; i < PACKET_WORDS; i++)
	{
		u64 word = mask->words[i];

		if (!word)
			continue;
		mask->words[i] = word & (word - 1);
		return i * 64 + lowest_bit(word);
	}
	return POLICY_RULES;
}

/* ---- what passes in spite of a rule ---- */

static __noinline bool is_established(struct xdp_md *ctx, const struct packet *p)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sock;
	u32 size, state;

	if (p->family == 4) {
		tuple.ipv4.saddr = p->source[0];
		tuple.ipv4.daddr = p->dest[0];
		tuple.ipv4.sport = bpf_htons(p->source_port);
		tuple.ipv4.dport = bpf_htons(p->dest_port);
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, p->source, sizeof(p->source));
		__builtin_memcpy(tuple.ipv6.daddr, p->dest, sizeof(p->dest));
		tuple.ipv6.sport = bpf_htons(p->source_port);
		tuple.ipv6.dport = bpf_htons(p->dest_port);
		size = sizeof(tuple.ipv6);
	}
	sock = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return false;
	state = sock->state;
	bpf_sk_release(sock);
	return state != BPF_TCP_LISTEN && state != BPF_TCP_CLOSE;
}

static __always_inline bool is_discovery(const struct packet *p)
{
	return p->family == 6 && p->type >= 133 && p->type <= 136 && p->hops == 255;
}

static __always_inline bool is_path_mtu(const struct packet *p)
{
	return p->family == 6 ? p->type == 2 : p->type == 3 && p->code == 4;
}

static __always_inline bool is_dhcp(const struct packet *p)
{
	return p->family == 4 ? p->source_port == 67 && p->dest_port == 68
			      : p->source_port == 547 && p->dest_port == 546;
}

static __always_inline u32 packet_kept(struct xdp_md *ctx, const struct packet *p)
{
	if ((p->kinds & PACKET_MALFORMED) || p->form == PACKET_LATER_FRAGMENT)
		return PACKET_KEEP_NONE;
	if (p->kinds & PACKET_TCP)
		return !(p->kinds & PACKET_SYN) && is_established(ctx, p) ? PACKET_KEEP_ESTABLISHED
									 : PACKET_KEEP_NONE;
	if (p->kinds & PACKET_UDP)
		return is_dhcp(p) ? PACKET_KEEP_DHCP : PACKET_KEEP_NONE;
	if (!(p->kinds & PACKET_ICMP))
		return PACKET_KEEP_NONE;
	if (is_discovery(p))
		return PACKET_KEEP_NEIGHBOUR;
	return is_path_mtu(p) ? PACKET_KEEP_PATH_MTU : PACKET_KEEP_NONE;
}

/* ---- telling ---- */

/* The first packet of each rule in a second, and not more than so many of all rules; on each CPU. */
static __always_inline u64 telling_since(const struct packet_plan *plan, u32 slot)
{
	u64 now = bpf_jiffies64(), since;
	struct packet_told *told, *all;
	u32 last = POLICY_SLOTS;

	told = bpf_map_lookup_elem(&packet_tolds, &slot);
	all = bpf_map_lookup_elem(&packet_tolds, &last);
	if (!told || !all)
		return 0;
	told->since++;
	if (told->at_ticks && now - told->at_ticks < plan->ticks_per_s)
		return 0;
	if (now - all->at_ticks >= plan->ticks_per_s) {
		all->at_ticks = now;
		all->since = 0;
	}
	if (all->since >= PACKET_TOLD_PER_S)
		return 0;
	all->since++;
	told->at_ticks = now;
	since = told->since;
	told->since = 0;
	return since;
}

static __always_inline void address_tell(struct ip *to, const struct packet *p, const u32 *address)
{
	to->family = p->family == 4 ? AF_INET : p->family == 6 ? AF_INET6 : 0;
	__builtin_memcpy(to->bytes, address, sizeof(to->bytes));
}

static __noinline int packet_tell(struct xdp_md *ctx, const struct packet *p,
				  const struct policy_rule_row *row, u32 outcome, u64 since)
{
	struct stats *stats = stats_here();
	struct decision *e;
	u64 sent;

	if (!events_wanted() || !stats)
		return 0;
	sent = stats->sent;
	e = event_new(decision);
	if (!e) {
		rule_untold(row);
		return 0;
	}
	__builtin_memcpy(e->rule, row->name, sizeof(e->rule));
	e->outcome = outcome;
	e->form = p->form;
	e->protocol = p->protocol;
	e->flags = p->flags;
	address_tell(&e->from, p, p->source);
	address_tell(&e->to, p, p->dest);
	e->from_port = p->source_port;
	e->to_port = p->dest_port;
	e->length_bytes = p->size;
	e->ifindex = p->ifindex;
	e->since = since;
	event_send(ctx, e);
	if (stats->sent == sent) /* nobody else counts here meanwhile */
		rule_untold(row);
	return 0;
}

/* ---- deciding ---- */

/* What a rule comes to: nothing yet, or an XDP action. */
enum { ASK_ON = -1 };

static __always_inline void told_if_due(struct xdp_md *ctx, const struct packet_plan *plan,
					const struct packet *p, const struct policy_rule_row *row,
					u32 outcome)
{
	u64 since = telling_since(plan, row->slot);

	if (since)
		packet_tell(ctx, p, row, outcome, since);
}

static __always_inline int rule_drop(struct xdp_md *ctx, const struct packet_plan *plan,
				     const struct packet *p, const struct policy_rule_row *row)
{
	u32 keep = packet_kept(ctx, p), outcome;

	if (keep) {
		form_count(PACKET_FORMS + keep);
		rule_count(row, false, p->size);
		return XDP_PASS;
	}
	outcome = rule_judge(row);
	rule_count(row, outcome == OUTCOME_REFUSED, p->size);
	told_if_due(ctx, plan, p, row, outcome);
	return outcome == OUTCOME_REFUSED ? XDP_DROP : ASK_ON;
}

static __always_inline int rule_apply(struct xdp_md *ctx, const struct packet_plan *plan, u32 gen,
				      u32 number, const struct packet *p)
{
	const struct packet_rule *rule = &plan->rules[number & (POLICY_RULES - 1)];
	const struct policy_rule_row *row = rule_row(gen, number);

	if (!row)
		return ASK_ON;
	if (rule->verdict == PACKET_DROP ||
	    (rule->verdict == PACKET_LIMIT && limit_exceeded(plan, rule, p, row->slot)))
		return rule_drop(ctx, plan, p, row);
	rule_count(row, false, p->size);
	if (rule->verdict == PACKET_WATCH)
		told_if_due(ctx, plan, p, row, OUTCOME_WATCHED);
	return rule->verdict == PACKET_PASS ? XDP_PASS : ASK_ON;
}

/* Global: verified once, not for every rule that may be asked. */
__noinline int rule_decide(struct xdp_md *ctx, u32 gen, u32 number)
{
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand = packet_in_hand();

	if (!plan || !in_hand || number >= POLICY_RULES)
		return ASK_ON;
	return rule_apply(ctx, plan, gen, number, &in_hand->packet);
}

/* What rule_decide() would return; nothing is counted, taken or told. */
__noinline int rule_foretell(struct xdp_md *ctx, u32 gen, u32 number)
{
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand = packet_in_hand();
	const struct policy_rule_row *row;
	struct packet_answer *answer;
	u32 zero = 0, verdict;

	answer = bpf_map_lookup_elem(&packet_answers, &zero);
	if (!plan || !in_hand || !answer || number >= POLICY_RULES)
		return ASK_ON;
	row = rule_row(gen, number);
	verdict = plan->rules[number].verdict;
	if (!row || (verdict != PACKET_PASS && verdict != PACKET_DROP) ||
	    (verdict == PACKET_DROP && row->mode != POLICY_ENFORCE))
		return ASK_ON;
	answer->rule = number;
	if (verdict == PACKET_PASS)
		return XDP_PASS;
	answer->keep = packet_kept(ctx, &in_hand->packet);
	return answer->keep ? XDP_PASS : XDP_DROP;
}

static __always_inline int rules_foretell(struct xdp_md *ctx, u64 question, u32 gen,
					  struct in_hand *in_hand)
{
	struct packet_answer *answer;
	u32 zero = 0, number;
	int action;

	answer = bpf_map_lookup_elem(&packet_answers, &zero);
	if (!answer)
		return XDP_PASS;
	__builtin_memset(answer, 0, sizeof(*answer));
	answer->form = in_hand->packet.form;
	answer->kinds = in_hand->packet.kinds;
	answer->met = in_hand->met;
	answer->rule = POLICY_RULES;
	answer->question = question;
	for (int i = 0; i <= PACKET_ASKED; i++) {
		number = mask_take(&in_hand->met);
		if (number >= POLICY_RULES)
			break;
		action = rule_foretell(ctx, gen, number);
		if (action != ASK_ON)
			return action;
	}
	return XDP_PASS;
}

/* The first rule most often decides: without a call, which costs more here than all else. */
static __always_inline int rules_decide(struct xdp_md *ctx, const struct packet_plan *plan, u32 gen,
					struct in_hand *in_hand)
{
	u32 number = mask_take(&in_hand->met);
	int action;

	if (number >= POLICY_RULES)
		return XDP_PASS;
	action = rule_apply(ctx, plan, gen, number, &in_hand->packet);
	for (int i = 0; i < PACKET_ASKED && action == ASK_ON; i++) {
		number = mask_take(&in_hand->met);
		if (number >= POLICY_RULES)
			break;
		action = rule_decide(ctx, gen, number);
	}
	return action == ASK_ON ? XDP_PASS : action;
}

/* Does the frame ask? Then it says which interface it is to have come by, in place of addresses. */
static __always_inline bool is_question(struct xdp_md *ctx, const struct packet_plan *plan,
					u32 *ifindex)
{
	struct packet_question *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (!plan->question || (void *)(frame + 1) > end || frame->question != plan->question)
		return false;
	*ifindex = frame->ifindex;
	return true;
}

static __always_inline int packet_decide(struct xdp_md *ctx)
{
	struct in_hand *in_hand = packet_in_hand();
	u32 gen = policy_generation(), ifindex = ctx->ingress_ifindex;
	const struct packet_plan *plan;
	struct packet *p;
	bool asked;

	if (gen == POLICY_NOBODY || !in_hand)
		return XDP_PASS;
	plan = plan_of(gen);
	if (!plan)
		return XDP_PASS;
	asked = is_question(ctx, plan, &ifindex);
	p = &in_hand->packet;
	__builtin_memset(p, 0, sizeof(*p));
	p->ifindex = ifindex;
	packet_read(ctx, p);
	if (p->form == PACKET_NOT_IP)
		return XDP_PASS;
	rules_met(plan, gen, p, &in_hand->met);
	if (asked)
		return rules_foretell(ctx, plan->question, gen, in_hand);
	if (p->form != PACKET_WHOLE)
		form_count(p->form);
	return rules_decide(ctx, plan, gen, in_hand);
}

/* Frames of several buffers (large MTU) reach only programs that say that they know of them. */
ALT(packet, 1) NEED("helper xdp_get_buff_len") LATER
SEC("?xdp.frags") int packet_buffers(struct xdp_md *ctx)
{
	return packet_decide(ctx);
}

ALT(packet, 2) LATER SEC("?xdp") int packet_buffer(struct xdp_md *ctx)
{
	return packet_decide(ctx);
}
