/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * guard.traffic: the rules about packets that leave, and those that do more with a packet than let it pass or
 * drop it, at TC. Packets that are to be sent know their socket, so rules may ask who sends.
 */
#define EVENT_MAX   512
#define GUARD_ALONE /* TC runs with softirqs off: it holds its CPU */
#include "guard.h"

#define frame        __sk_buff
#define PACKET_HANDS 1
#include "abi/policy_subject.h"
#include "kernel/skb.h"
#include "packet_direct.h"

PROBE(traffic, "guard", "Packets that a policy dropped before they left, changed, or watches", INTERNAL);

enum {
	HEADERS_MAX = 14 + 16 + 40 + 8 * 2048, /* as far as headers are followed */
	ECN = 3,                /* bits of the byte that the DSCP is in */
	TC_ACT_UNSPEC = -1,
	TC_ACT_SHOT = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct subject_key);
	__type(value, struct rule_set);
} subjects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct traffic_senders);
} traffic_senders SEC(".maps");

static __always_inline u32 frame_size(struct __sk_buff *ctx)
{
	return ctx->len;
}

/* ---- who sends ---- */

static __always_inline void rules_keep(struct in_hand *in_hand, const struct rule_set *fulfilled)
{
	_Pragma("unroll") for (int i = 0; i < PACKET_WORDS; i++) in_hand->met.words[i] &=
		fulfilled->words[i];
}

static __always_inline const struct rule_set *subject_of(u32 gen, u32 kind, u64 value)
{
	struct subject_key key = { .value = value, .kind = kind, .gen = gen };

	return bpf_map_lookup_elem(&subjects, &key);
}

/* Of the cgroup of the packet's socket and those above it the lowest that rules mention. */
static __always_inline const struct rule_set *sender_cgroup(struct __sk_buff *ctx, u32 gen)
{
	const struct rule_set *found, *last = NULL;
	u64 id;

	for (int level = 0; level < CGROUP_LEVELS; level++) {
		id = bpf_skb_ancestor_cgroup_id(ctx, level);
		if (!id)
			break;
		found = subject_of(gen, SUBJECT_CGROUP, id);
		if (found)
			last = found;
	}
	return last;
}

/* Rules whose conditions about who sends hold. Global: verified once. What no socket of this machine sends
 * (it is forwarded) fulfils none but `unless`. */
__noinline int sender_keep(struct __sk_buff *ctx, u32 gen, u32 asked)
{
	struct in_hand *in_hand = packet_in_hand(0);
	struct traffic_senders *all = bpf_map_lookup_elem(&traffic_senders, &gen);
	const struct rule_set *rules;

	if (!in_hand || !all)
		return 0;
	if (all->asks & 1 << SUBJECT_USER) {
		rules = asked     ? subject_of(gen, SUBJECT_USER, all->asked_user)
			: ctx->sk ? subject_of(gen, SUBJECT_USER, bpf_get_socket_uid(ctx))
				  : NULL;
		rules_keep(in_hand, rules ? rules : &all->others[SUBJECT_USER]);
	}
	if (all->asks & 1 << SUBJECT_CGROUP) {
		rules = asked ? subject_of(gen, SUBJECT_CGROUP, all->asked_cgroup)
			      : sender_cgroup(ctx, gen);
		rules_keep(in_hand, rules ? rules : &all->others[SUBJECT_CGROUP]);
	}
	return 0;
}

static __always_inline void rules_narrow(struct __sk_buff *ctx, const struct packet_plan *plan,
					 u32 gen, u32 nth, bool asked)
{
	if (plan->asks_sender)
		sender_keep(ctx, gen, asked);
}

/* ---- what it does to packets ---- */

static __always_inline void dscp_set4(struct __sk_buff *ctx, u32 at, u8 dscp)
{
	u8 now[2], next[2];

	if (bpf_skb_load_bytes(ctx, at, now, sizeof(now)))
		return;
	next[0] = now[0];
	next[1] = dscp << 2 | (now[1] & ECN);
	bpf_l3_csum_replace(ctx, at + offsetof(struct ipv4, checksum), *(u16 *)now, *(u16 *)next,
			    sizeof(u16));
	bpf_skb_store_bytes(ctx, at, next, sizeof(next), 0);
}

/* Between the version and the flow label. What the card has summed up has to be told. */
static __always_inline void dscp_set6(struct __sk_buff *ctx, u32 at, u8 dscp)
{
	u8 bytes[2];

	if (bpf_skb_load_bytes(ctx, at, bytes, sizeof(bytes)))
		return;
	bytes[0] = (bytes[0] & 0xf0) | dscp >> 2;
	bytes[1] = (bytes[1] & 0x3f) | (dscp & 3) << 6;
	bpf_skb_store_bytes(ctx, at, bytes, sizeof(bytes), BPF_F_RECOMPUTE_CSUM);
}

/* The copy may come by this program again, before this returns: it is let pass. */
static __always_inline void mirror(struct __sk_buff *ctx, u32 target)
{
	struct in_hand *in_hand = packet_in_hand(0);

	if (!in_hand)
		return;
	in_hand->copying = true;
	bpf_clone_redirect(ctx, target, 0);
	in_hand->copying = false;
}

static __always_inline int packet_change(struct __sk_buff *ctx, const struct packet_rule *rule,
					 struct packet *p)
{
	u8 changes = rule->changes;
	u32 target = rule->target;

	if (changes & PACKET_SET_MARK)
		ctx->mark = rule->mark;
	if (changes & PACKET_SET_PRIORITY)
		ctx->priority = rule->priority;
	if (changes & PACKET_SET_DSCP && p->family == 4)
		dscp_set4(ctx, p->network, rule->dscp);
	if (changes & PACKET_SET_DSCP && p->family == 6)
		dscp_set6(ctx, p->network, rule->dscp);
	if (changes & PACKET_MIRROR)
		mirror(ctx, target);
	if (!(changes & PACKET_REDIRECT))
		return ASK_ON;
	p->target = target;
	return JUDGED_ELSEWHERE;
}

/* ---- packets ---- */

/* Does it begin at its IP header? Where generic XDP stands too newer kernels (seen on 6.18) hand it over so. A frame
 * has its type where the kernel says; what looks so may be an address, but only where the first byte is that of IP. */
static __always_inline bool lacks_link(struct __sk_buff *ctx)
{
	const struct ethernet *ethernet = (void *)(long)ctx->data;
	struct __sk_buff *volatile held = ctx;
	const struct sk_buff *skb = NULL;
	u8 version;

	if ((void *)(ethernet + 1) > (void *)(long)ctx->data_end)
		return false;
	version = *(const u8 *)ethernet >> 4;
	if (ethernet->type == ctx->protocol && version != 4 && version != 6)
		return false;
	bpf_probe_read_kernel(&skb, sizeof(skb), (void *)&held); /* its address as a number */
	return BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header) ==
	       BPF_CORE_READ(skb, data);
}

/* As far as it lies in one piece. Global: verified once, run twice. */
__noinline int traffic_read(struct __sk_buff *ctx, u32 ifindex, u32 place)
{
	struct packet *p = packet_space(0);
	u32 tags = ctx->vlan_present, link = 0;

	if (!p)
		return PACKET_WHOLE;
	__builtin_memset(p, 0, sizeof(*p));
	p->ifindex = ifindex;
	p->place = p->post = place;
	p->out = place == PACKET_OUT;
	p->segments = ctx->gso_segs > 1 ? ctx->gso_segs : 1;
	p->size = ctx->data_end - ctx->data;
	p->local = ifindex == LOOPBACK_IFINDEX;
	if (place == PACKET_IN && lacks_link(ctx)) {
		network_read(ctx, p, 0, ctx->protocol, 0, p->size);
		link = sizeof(struct ethernet);
	} else {
		packet_read(ctx, p, 0, tags);
	}
	/* as it will be on the wire, with the headers of each segment */
	p->size = (p->out && ctx->wire_len > ctx->len ? ctx->wire_len : ctx->len) + tags * 4 + link;
	return p->form;
}

static __always_inline int traffic_decide(struct __sk_buff *ctx, u32 place)
{
	u32 gen = policy_generation(), ifindex = ctx->ifindex, len = ctx->len;
	struct in_hand *in_hand = packet_in_hand(0);
	const struct packet_plan *plan;
	bool asked;
	int judged;

	if (gen == POLICY_NOBODY || !in_hand || in_hand->copying)
		return TC_ACT_UNSPEC;
	plan = plan_of(gen);
	if (!plan)
		return TC_ACT_UNSPEC;
	asked = is_question(ctx, plan, &ifindex);
	if (traffic_read(ctx, ifindex, place) == PACKET_TRUNCATED &&
	    ctx->data_end - ctx->data < len &&
	    !bpf_skb_pull_data(ctx, len < HEADERS_MAX ? len : HEADERS_MAX))
		traffic_read(ctx, ifindex, place);
	judged = packet_judge(ctx, plan, gen, 0, in_hand, asked);
	if (judged == JUDGED_DROP)
		return TC_ACT_SHOT;
	if (judged == JUDGED_ELSEWHERE && !asked)
		return bpf_redirect(in_hand->packet.target, 0);
	return TC_ACT_UNSPEC; /* whoever comes next is asked */
}

LATER SEC("?tcx/ingress") int traffic_in(struct __sk_buff *ctx)
{
	return traffic_decide(ctx, PACKET_IN);
}

LATER SEC("?tcx/egress") int traffic_out(struct __sk_buff *ctx)
{
	return traffic_decide(ctx, PACKET_OUT);
}
