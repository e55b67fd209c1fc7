/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What all guards do with a packet that was read: find the rules it meets by the plan's tables, ask them in
 * their order until one is final, count, tell. A guard says beforehand what packet.h wants, and
 * PACKET_HANDS, FRAME_KIND ("frame", or "packet": without the link's header), perhaps PACKET_IS_FIRST; and gives
 * is_established(), packet_change(), frame_copy(); if it can, and says so by ANSWERS, packet_answer().
 */
#pragma once

#include "guard.h"

#include "flood.h"
#include "limit.h"
#include "networks.h"
#include "packet.h"

EVENT(decision, "A packet that a rule of the policy is about")
{
	char rule[POLICY_NAME] KIND("str") DOC("rule of the policy");
	enum outcome outcome DOC("what came of it");
	enum packet_form form DOC("how the packet was found: whole, a fragment, what is wrong with it");
	enum ip_protocol protocol DOC("IP protocol");
	u8 flags KIND("hex") HIDE DOC("of TCP: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK, 32 URG");
	struct ip from DOC("source address");
	u16 from_port KIND("port") DOC("source port; 0: it has none, or none that can be read");
	struct ip to DOC("destination address");
	u16 to_port KIND("port") DOC("destination port");
	u32 length_bytes UNIT("bytes") DOC("size of the frame");
	u32 ifindex KIND("ifindex") DOC("network device it came by, or leaves by");
	u64 since DOC("packets of the rule on this CPU since the last that was told, with this one");
	enum packet_place place DOC("where it was judged");
	struct text content KIND(FRAME_KIND) HIDE DOC("its first bytes, as --snap asks for");
};

PARAM(u32, snap, 0, DOC("bytes of each packet that are kept with its event, for -o pcap; 0: none") RANGE(0, 256));

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
	u64 owner;              /* whose it is; 0: nobody's */
	u32 slot;               /* of the guard of filter: by which program it came */
	bool copying;           /* what comes by now is a copy that the guard itself sends */
	struct share share;
};

/* Packets in hand: the guard says how many a CPU may have at a time, and which number is whose. What lies in
 * a map the verifier doesn't follow value by value, nor what is behind a global function: else it would
 * try every rule with every kind of packet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PACKET_HANDS);
	__type(key, u32);
	__type(value, struct in_hand);
} packet_here SEC(".maps");

static __always_inline struct in_hand *packet_in_hand(u32 nth)
{
	return bpf_map_lookup_elem(&packet_here, &nth);
}

static __always_inline struct packet *packet_space(u32 nth)
{
	struct in_hand *in_hand = packet_in_hand(nth);

	return in_hand ? &in_hand->packet : NULL;
}

static __always_inline void form_count(u32 at)
{
	u64 *count = bpf_map_lookup_elem(&packet_forms, &at);

	if (count)
		count_add(*count, 1);
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
		return network_class6(plan, gen, &plan->pieces[2 + field][first >> 16], address);
	return 0;
}

static __always_inline u32 device_class(const struct packet_plan *plan, u32 ifindex)
{
	const struct packet_device *device =
		&plan->devices[(ifindex * plan->spread) >> 22 & (PACKET_DEVICES - 1)];

	return device->ifindex == ifindex ? device->class : 0;
}

static __always_inline u32 packet_what(const struct packet *p)
{
	if (p->has_type)
		return (p->family == 4 ? PACKET_ICMP_TYPES : PACKET_ICMP6_TYPES) + p->type;
	return p->protocol;
}

static __always_inline void rules_met(const struct packet_plan *plan, u32 gen,
				      const struct packet *p, struct packet_mask *met)
{
	u32 uses = plan->uses;

	*met = plan->kinds[p->kinds & (PACKET_KINDS - 1)];
	if (uses & 1 << PACKET_POST)
		field_and(met, plan, PACKET_POST, p->post);
	if (uses & 1 << PACKET_SOURCE_PORT)
		field_and(met, plan, PACKET_SOURCE_PORT,
			  p->has_ports ? plan->ports[0][p->source_port] : 0);
	if (uses & 1 << PACKET_PORT)
		field_and(met, plan, PACKET_PORT, p->has_ports ? plan->ports[1][p->dest_port] : 0);
	if (uses & 1 << PACKET_WHAT)
		field_and(met, plan, PACKET_WHAT, what_class(plan, packet_what(p)));
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

/* Of a TCP connection that this machine has? Asked of what isn't a first SYN. */
static __noinline bool is_established(struct frame *ctx, const struct packet *p);

static __always_inline bool is_discovery(const struct packet *p)
{
	return p->family == 6 && p->type >= 133 && p->type <= 136 && p->hops == 255;
}

static __always_inline bool is_path_mtu(const struct packet *p)
{
	return p->family == 6 ? p->type == 2 : p->type == 3 && p->code == 4;
}

/* From a server to us; from us to a server. */
static __always_inline bool is_dhcp(const struct packet *p)
{
	u16 server = p->out ? p->dest_port : p->source_port;
	u16 client = p->out ? p->source_port : p->dest_port;

	return p->family == 4 ? server == 67 && client == 68 : server == 547 && client == 546;
}

static __always_inline u32 packet_kept(struct frame *ctx, const struct packet *p)
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct packet_snap);
} packet_snap SEC(".maps");

/* Run by who reads the events: asks for the first bytes, for as long as he goes on asking. */
OPTIONAL("the first bytes of packets")
EVERY(1000) AT_START SEC("raw_tp") int snap_ask(void *ctx)
{
	u32 zero = 0;
	struct packet_snap *asked = bpf_map_lookup_elem(&packet_snap, &zero);

	if (!asked || !snap)
		return 0;
	asked->bytes = snap;
	asked->until_ns = bpf_ktime_get_boot_ns() + 3000000000ull;
	return 0;
}

/* Copies at most so many bytes, PACKET_SNAP_MAX and fewer; how many they were. */
static __always_inline u32 frame_copy(struct frame *ctx, void *to, u32 most);

/* Puts them behind the event. */
static __always_inline void frame_tell(struct frame *ctx, struct decision *e)
{
	struct event_slot *slot = event_slot_of(e);
	u32 zero = 0, size;
	struct packet_snap *asked = bpf_map_lookup_elem(&packet_snap, &zero);

	if (!asked || !asked->bytes || asked->until_ns < bpf_ktime_get_boot_ns())
		return;
	size = frame_copy(ctx, slot->body + sizeof(*e), asked->bytes);
	if (!size)
		return;
	e->content.at = sizeof(*e);
	e->content.size = size;
	slot->tail = sizeof(*e) + size;
}

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

static __noinline int packet_tell(struct frame *ctx, const struct packet *p,
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
	e->place = p->place;
	frame_tell(ctx, e);
	event_send(ctx, e);
	if (stats->sent == sent) /* nobody else counts here meanwhile */
		rule_untold(row);
	return 0;
}

/* ---- deciding ---- */

/* What a guard asks of a packet besides: takes rules out of those that it meets. */
static __always_inline void rules_narrow(struct frame *ctx, const struct packet_plan *plan, u32 gen,
					 u32 nth, bool asked);

/* What a rule comes to: nothing yet, or the end. */
enum judged { ASK_ON, JUDGED_PASS, JUDGED_DROP, JUDGED_ELSEWHERE, JUDGED_ANSWERED };

/* What a rule does besides: marks, copies, sends elsewhere. */
static __always_inline int packet_change(struct frame *ctx, const struct packet_rule *rule,
					 struct packet *p);

/* The packet in hand becomes its own answer: JUDGED_ANSWERED; or ASK_ON. Global. */
#ifdef ANSWERS
int packet_answer(struct frame *ctx, u32 nth);
#else
#define packet_answer(ctx, nth) ASK_ON
#endif

static __always_inline void told_if_due(struct frame *ctx, const struct packet_plan *plan,
					const struct packet *p, const struct policy_rule_row *row,
					u32 outcome)
{
	u64 since = telling_since(plan, row->slot);

	if (since)
		packet_tell(ctx, p, row, outcome, since);
}

static __always_inline void packet_count(const struct policy_rule_row *row, enum outcome outcome,
					 const struct packet *p)
{
	rule_count_many(row, p->segments, outcome, p->size);
}

static __always_inline int rule_drop(struct frame *ctx, const struct packet_plan *plan,
				     const struct packet *p, const struct policy_rule_row *row,
				     bool beside)
{
	u32 keep = packet_kept(ctx, p), outcome;

	if (keep) {
		if (!beside)
			form_count(PACKET_FORMS + keep);
		packet_count(row, OUTCOME_NONE, p);
		return JUDGED_PASS;
	}
	outcome = beside ? rule_foresee(row) : rule_judge(row);
	packet_count(row, outcome, p);
	told_if_due(ctx, plan, p, row, outcome);
	return outcome == OUTCOME_REFUSED || outcome == OUTCOME_WOULD_REFUSE ? JUDGED_DROP : ASK_ON;
}

static __always_inline int rule_change(struct frame *ctx, const struct packet_plan *plan,
				       const struct packet_rule *rule, struct packet *p,
				       const struct policy_rule_row *row, bool beside)
{
	u32 outcome;

	outcome = beside ? rule_foresee(row) : rule_judge(row);
	if (outcome == OUTCOME_REFUSED)
		outcome = beside ? OUTCOME_WOULD_REFUSE : OUTCOME_CHANGED;
	told_if_due(ctx, plan, p, row, outcome);
	if (outcome == OUTCOME_WOULD_REFUSE)
		return rule->changes & PACKET_REDIRECT ? JUDGED_ELSEWHERE : ASK_ON;
	return outcome == OUTCOME_CHANGED ? packet_change(ctx, rule, p) : ASK_ON;
}

/* A SYN above the rate, if there is one, becomes its own answer where it can be. */
static __always_inline int rule_answer(struct frame *ctx, const struct packet_plan *plan,
				       const struct packet_rule *rule, u32 nth,
				       struct in_hand *in_hand,
				       const struct policy_rule_row *row, bool beside)
{
	const struct packet *p = &in_hand->packet;
	u32 outcome = OUTCOME_NONE;

	if (!rule->step ||
	    limit_take(plan, rule, p, &in_hand->share.key, row->slot) != LIMIT_KEPT) {
		outcome = beside ? rule_foresee(row) : rule_judge(row);
		if (outcome == OUTCOME_REFUSED && packet_answer(ctx, nth) != JUDGED_ANSWERED)
			outcome = OUTCOME_NONE;
	}
	packet_count(row, outcome, p);
	if (outcome == OUTCOME_NONE)
		return ASK_ON;
	told_if_due(ctx, plan, p, row,
		    outcome == OUTCOME_REFUSED ? (u32)OUTCOME_ANSWERED : outcome);
	return outcome == OUTCOME_REFUSED || outcome == OUTCOME_WOULD_REFUSE ? JUDGED_ANSWERED
									     : ASK_ON;
}

/* The address is made where the number's bounds are known: verifiers before 6.2 forget those of a number
 * that lay on the stack meanwhile, but not those of an address. */
static __always_inline const struct packet_rule *rule_of(const struct packet_plan *plan, u32 number)
{
	const struct packet_rule *rule;

	barrier_var(number);
	rule = &plan->rules[number & (POLICY_RULES - 1)];
	barrier_var(rule);
	return rule;
}

/* Is it too much? A flood that begins is written down when the packet is judged: there is no room on the
 * stack here. */
static __always_inline bool rule_limits(const struct packet_plan *plan, u32 number,
					struct in_hand *in_hand, u32 slot)
{
	const struct packet_rule *rule = rule_of(plan, number);
	enum limited limited =
		limit_take(plan, rule, &in_hand->packet, &in_hand->share.key, slot);

	if (limited == LIMIT_BEGINS)
		in_hand->packet.begins = number + 1;
	return limited != LIMIT_KEPT;
}

static __always_inline int rule_apply(struct frame *ctx, const struct packet_plan *plan, u32 gen,
				      u32 number, u32 nth, struct in_hand *in_hand, bool beside)
{
	struct packet *p = &in_hand->packet;
	const struct packet_rule *rule = rule_of(plan, number);
	const struct policy_rule_row *row = rule_row(gen, number);

	if (!row || (rule->target && rule->target == p->ifindex)) /* it is there already */
		return ASK_ON;
	if (rule->verdict == PACKET_DROP ||
	    (rule->verdict == PACKET_LIMIT && rule_limits(plan, number, in_hand, row->slot)))
		return rule_drop(ctx, plan, p, row, beside);
	if (rule->verdict == PACKET_ANSWER)
		return rule_answer(ctx, plan, rule, nth, in_hand, row, beside);
	packet_count(row, OUTCOME_NONE, p);
	if (rule->verdict == PACKET_WATCH)
		told_if_due(ctx, plan, p, row, OUTCOME_WATCHED);
	if (rule->verdict == PACKET_CHANGE)
		return rule_change(ctx, plan, rule, p, row, beside);
	return rule->verdict == PACKET_PASS ? JUDGED_PASS : ASK_ON;
}

/* Global: verified once, not for every rule that may be asked. */
__noinline int rule_decide(struct frame *ctx, u32 nth, u32 gen, u32 number)
{
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand = packet_in_hand(nth);

	if (!plan || !in_hand || number >= POLICY_RULES)
		return ASK_ON;
	return rule_apply(ctx, plan, gen, number, nth, in_hand, false);
}

/* The same of a rule of the policy that lies beside the one in force. */
__noinline int rule_decide_beside(struct frame *ctx, u32 nth, u32 gen, u32 number)
{
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand = packet_in_hand(nth);

	if (!plan || !in_hand || number >= POLICY_RULES)
		return ASK_ON;
	return rule_apply(ctx, plan, gen, number, nth, in_hand, true);
}

/* Finds the rules of the policy beside that the packet in hand meets. Global, and not the caller of
 * rule_decide_beside(): so that neither the verifier nor the stack has both. */
__noinline int rules_met_beside(u32 nth, u32 gen)
{
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand = packet_in_hand(nth);

	if (plan && in_hand)
		rules_met(plan, gen, &in_hand->packet, &in_hand->met);
	return 0;
}

/* What the policy beside would do with the packet in hand: as if it alone were in force. */
static __always_inline void packet_judge_beside(struct frame *ctx, u32 nth, u32 gen,
						struct in_hand *in_hand)
{
	const struct packet_plan *plan = plan_of(gen);
	u32 number;

	__builtin_memset(&in_hand->met, 0, sizeof(in_hand->met));
	rules_met_beside(nth, gen);
	if (plan)
		rules_narrow(ctx, plan, gen, nth, false);
	for (int i = 0; i <= PACKET_ASKED; i++) {
		number = mask_take(&in_hand->met);
		if (number >= POLICY_RULES || rule_decide_beside(ctx, nth, gen, number) != ASK_ON)
			break;
	}
}

/* Does the rule decide about all that meet it? */
static __always_inline bool is_final(const struct packet_rule *rule,
				     const struct policy_rule_row *row)
{
	if (rule->verdict == PACKET_PASS)
		return true;
	return (rule->verdict == PACKET_DROP ||
		(rule->verdict == PACKET_CHANGE && rule->changes & PACKET_REDIRECT)) &&
	       row->mode == POLICY_ENFORCE;
}

/* What rule_decide() would return; nothing is counted, taken or told. */
__noinline int rule_foretell(struct frame *ctx, u32 nth, u32 gen, u32 number)
{
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand = packet_in_hand(nth);
	const struct policy_rule_row *row;
	struct packet_answer *answer;
	u32 zero = 0, verdict;

	answer = bpf_map_lookup_elem(&packet_answers, &zero);
	if (!plan || !in_hand || !answer || number >= POLICY_RULES)
		return ASK_ON;
	row = rule_row(gen, number);
	verdict = plan->rules[number].verdict;
	if (!row || !is_final(&plan->rules[number], row))
		return ASK_ON;
	answer->rule = number;
	if (verdict == PACKET_PASS)
		return JUDGED_PASS;
	if (verdict == PACKET_CHANGE)
		return JUDGED_ELSEWHERE;
	answer->keep = packet_kept(ctx, &in_hand->packet);
	answer->drops = !answer->keep;
	return JUDGED_PASS;
}

static __always_inline int rules_foretell(struct frame *ctx, u64 question, u32 gen, u32 nth,
					  struct in_hand *in_hand)
{
	struct packet_answer *answer;
	u32 zero = 0, number;
	int action;

	answer = bpf_map_lookup_elem(&packet_answers, &zero);
	if (!answer)
		return JUDGED_PASS;
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
		action = rule_foretell(ctx, nth, gen, number);
		if (action != ASK_ON)
			return action;
	}
	return JUDGED_PASS;
}

/* The first rule most often decides: at XDP without a call, which costs more there than all else. */
static __always_inline int first_decide(struct frame *ctx, const struct packet_plan *plan, u32 gen,
					u32 nth, u32 number, struct in_hand *in_hand)
{
#ifdef PACKET_IS_FIRST
	return rule_apply(ctx, plan, gen, number, nth, in_hand, false);
#else
	return rule_decide(ctx, nth, gen, number);
#endif
}

static __always_inline int rules_decide(struct frame *ctx, const struct packet_plan *plan, u32 gen,
					u32 nth, struct in_hand *in_hand)
{
	u32 number = mask_take(&in_hand->met);
	int action;

	if (number >= POLICY_RULES)
		return JUDGED_PASS;
	action = first_decide(ctx, plan, gen, nth, number, in_hand);
	for (int i = 0; i < PACKET_ASKED && action == ASK_ON; i++) {
		number = mask_take(&in_hand->met);
		if (number >= POLICY_RULES)
			break;
		action = rule_decide(ctx, nth, gen, number);
	}
	return action == ASK_ON ? JUDGED_PASS : action;
}

/* Rule number `number` drops from this packet on. Global: rare, and verified once. */
__noinline int flood_begins(struct frame *ctx, u32 nth, u32 gen, u32 number, u32 beside)
{
	const struct packet_plan *plan = plan_of(gen);
	const struct policy_rule_row *row = rule_row(gen, number);
	struct in_hand *in_hand = packet_in_hand(nth);
	u32 outcome;

	if (!plan || !row || !in_hand || number >= POLICY_RULES)
		return 0;
	outcome = row->mode == POLICY_AUDIT ? OUTCOME_AUDITED
		  : beside                  ? OUTCOME_WOULD_REFUSE
					    : OUTCOME_REFUSED;
	key_of(&in_hand->packet, plan->rules[number].per, row->slot, &in_hand->share.key);
	flood_begin(ctx, plan, &plan->rules[number], &in_hand->packet, row, &in_hand->share,
		    outcome);
	return 0;
}

static __always_inline void floods_begin(struct frame *ctx, u32 nth, u32 gen,
					 struct in_hand *in_hand, bool beside)
{
	u32 begins = in_hand->packet.begins;

	if (!begins)
		return;
	in_hand->packet.begins = 0;
	flood_begins(ctx, nth, gen, begins - 1, beside);
}

/* A packet that was read to in_hand. */
static __always_inline int packet_judge(struct frame *ctx, const struct packet_plan *plan, u32 gen,
					u32 nth, struct in_hand *in_hand, bool asked)
{
	const struct packet *p = &in_hand->packet;
	u32 beside = policy_beside();
	int judged;

	if (p->form == PACKET_NOT_IP)
		return JUDGED_PASS;
	rules_met(plan, gen, p, &in_hand->met);
	rules_narrow(ctx, plan, gen, nth, asked);
	if (asked)
		return rules_foretell(ctx, plan->question, gen, nth, in_hand);
	if (p->form != PACKET_WHOLE)
		form_count(p->form);
	judged = rules_decide(ctx, plan, gen, nth, in_hand);
	floods_begin(ctx, nth, gen, in_hand, false);
	if (beside != POLICY_NOBODY) {
		packet_judge_beside(ctx, nth, beside, in_hand);
		floods_begin(ctx, nth, beside, in_hand, true);
	}
	return judged;
}
