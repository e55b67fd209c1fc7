/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * guard.filter: the rules about packets at hooks of netfilter, by priority. A program isn't told the priority
 * that it was attached with, so there is a small one for each, which goes on to the one that decides.
 *
 * Hooks of what this machine sends may be preempted, also by another packet: what a packet needs lies in a
 * place of its own as long as it is judged.
 */
#define EVENT_MAX 512
#include "guard.h"

#include "kernel/netfilter.h"

#define frame        bpf_nf_ctx
#define FRAME_KIND   "packet"
#define PACKET_HANDS 16 /* at once on a CPU, each but one interrupted */
#include "packet_judge.h"

PROBE(filter, "guard", "Packets that a policy dropped at a hook of netfilter, or watches",
      INTERNAL);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} filter_jump SEC(".maps");

/* The user side's own: which priority each program stands for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FILTER_SLOTS);
	__type(key, u32);
	__type(value, struct filter_slot);
} filter_slots SEC(".maps");

/* ---- packets ---- */

static __always_inline const void *frame_at(struct bpf_nf_ctx *ctx, u32 offset, u32 size,
					    void *room)
{
	struct bpf_dynptr data;

	__builtin_memset(room, 0, size); /* which the verifier wants */
	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &data))
		return NULL;
	return bpf_dynptr_slice(&data, offset, room, size);
}

static __always_inline u32 frame_size(struct bpf_nf_ctx *ctx)
{
	return ctx->skb->len;
}

/* The first bytes from the IP header on. */
static __always_inline u32 frame_copy(struct bpf_nf_ctx *ctx, void *to, u32 most)
{
	struct bpf_dynptr data;
	u32 size = ctx->skb->len;

	if (size > most)
		size = most;
	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &data))
		return 0;
	barrier_var(size);
	if (!size || size > PACKET_SNAP_MAX)
		return 0;
	return bpf_dynptr_read(to, size, &data, 0, 0) ? 0 : size;
}

static __always_inline int packet_change(struct bpf_nf_ctx *ctx, const struct packet_rule *rule,
					 struct packet *p)
{
	return ASK_ON;
}

static __always_inline void rules_narrow(struct bpf_nf_ctx *ctx, const struct packet_plan *plan,
					 u32 gen, u32 nth, bool asked)
{
}

/* Where sockets are looked up already, or known because they send. */
static __always_inline bool has_connection(struct sk_buff *skb, bool out)
{
	struct sock *sock = skb->sk;
	u8 state;

	if (!sock)
		return false;
	state = sock->__sk_common.skc_state;
	if (out && (state == BPF_TCP_SYN_RECV || state == BPF_TCP_NEW_SYN_RECV))
		return false; /* an answer to what opens one is a first SYN too */
	return state != BPF_TCP_LISTEN && state != BPF_TCP_CLOSE;
}

/* By its socket; where there is none yet, or it is somebody else's, by connection tracking. */
static __noinline bool is_established(struct bpf_nf_ctx *ctx, const struct packet *p)
{
	struct sk_buff___tracked *tracked = (void *)ctx->skb;
	unsigned long entry;

	if (has_connection(ctx->skb, p->out))
		return true;
	if (p->place == PACKET_FORWARD || p->flags & TCP_SYN)
		return false;
	entry = tracked->_nfct;
	return entry & ~(unsigned long)TRACKED_INFO && (entry & TRACKED_INFO) != TRACKED_NEW;
}

/* ---- places ---- */

/* The packet is known by its address while it is judged. */
static __always_inline struct in_hand *hand_take(u64 owner)
{
	for (u32 nth = 0; nth < PACKET_HANDS; nth++) {
		struct in_hand *in_hand = packet_in_hand(nth);

		if (in_hand && !__sync_val_compare_and_swap(&in_hand->owner, 0, owner))
			return in_hand;
	}
	return NULL;
}

static __always_inline u32 hand_find(u64 owner)
{
	for (u32 nth = 0; nth < PACKET_HANDS; nth++) {
		struct in_hand *in_hand = packet_in_hand(nth);

		if (in_hand && in_hand->owner == owner)
			return nth;
	}
	return PACKET_HANDS;
}

/* ---- deciding ---- */

/* What asks says so where the hardware's addresses would be, in front of the packet. */
static __always_inline bool is_question(struct sk_buff *skb, const struct packet_plan *plan,
					u32 *ifindex)
{
	struct packet_question asks;

	if (!plan->question ||
	    bpf_probe_read_kernel(&asks, sizeof(asks), skb->head + skb->mac_header) ||
	    asks.question != plan->question)
		return false;
	*ifindex = asks.ifindex;
	return true;
}

static __always_inline u32 device_of(const struct nf_hook_state *state)
{
	struct net_device *device =
		state->hook == NF_OUTPUT || state->hook == NF_POSTROUTING ? state->out : state->in;

	return device ? device->ifindex : 0;
}

static __always_inline int filter_judge(struct bpf_nf_ctx *ctx, u32 nth, struct in_hand *in_hand)
{
	const struct nf_hook_state *state = ctx->state;
	u32 gen = policy_generation(), ifindex = device_of(state);
	const struct packet_plan *plan = plan_of(gen);
	struct packet *p = &in_hand->packet;
	bool asked;

	if (gen == POLICY_NOBODY || !plan)
		return NF_ACCEPT;
	asked = is_question(ctx->skb, plan, &ifindex);
	__builtin_memset(p, 0, sizeof(*p));
	p->ifindex = ifindex;
	p->place = PACKET_PREROUTING + state->hook;
	p->post = in_hand->slot * PACKET_PLACES + p->place;
	p->out = state->hook == NF_OUTPUT || state->hook == NF_POSTROUTING;
	p->local = ifindex == LOOPBACK_IFINDEX;
	p->segments = 1;
	p->size = ctx->skb->len;
	network_read(ctx, p, nth, bpf_htons(state->pf == NFPROTO_IPV6 ? ETH_P_IPV6 : ETH_P_IP), 0,
		     p->size);
	return packet_judge(ctx, plan, gen, nth, in_hand, asked) == JUDGED_DROP ? NF_DROP
										: NF_ACCEPT;
}

LATER SEC("?netfilter") int filter_rules(struct bpf_nf_ctx *ctx)
{
	u32 nth = hand_find((u64)ctx->skb);
	struct in_hand *in_hand = packet_in_hand(nth);
	int verdict;

	if (nth >= PACKET_HANDS || !in_hand)
		return NF_ACCEPT;
	verdict = filter_judge(ctx, nth, in_hand);
	in_hand->owner = 0;
	return verdict;
}

/* Nothing but where it stands. With all hands full nobody can say what the rules are: dropped. */
static __always_inline int filter_enter(struct bpf_nf_ctx *ctx, u32 slot)
{
	u32 gen = policy_generation();
	const struct packet_plan *plan = plan_of(gen);
	struct in_hand *in_hand;

	if (gen == POLICY_NOBODY || !plan)
		return NF_ACCEPT;
	in_hand = hand_take((u64)ctx->skb);
	if (!in_hand)
		return NF_DROP;
	in_hand->slot = slot;
	bpf_tail_call(ctx, &filter_jump, 0);
	in_hand->owner = 0;
	return NF_ACCEPT;
}

#define SLOT(n)                                                             \
	LATER SEC("?netfilter") int filter_slot_##n(struct bpf_nf_ctx *ctx) \
	{                                                                   \
		return filter_enter(ctx, n);                                \
	}
SLOT(0)
SLOT(1)
SLOT(2)
SLOT(3)
SLOT(4)
SLOT(5)
SLOT(6)
SLOT(7)
