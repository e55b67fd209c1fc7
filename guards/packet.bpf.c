/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * guard.packet: the rules about packets, at XDP: before the kernel spends anything on them. A packet is
 * read once, the rules it meets are found by tables, the first that is final decides.
 */
#define EVENT_MAX   512
#define GUARD_ALONE /* XDP holds its CPU */
#include "guard.h"

#define frame           xdp_md
#define PACKET_HANDS    1
#define PACKET_IS_FIRST /* nobody has spent anything on it yet */
#define ANSWERS
#include "packet_direct.h"

#include "cookie_acks.h"

PROBE(packet, "guard", "Packets that a policy dropped, would have dropped, or watches", INTERNAL);

/* A frame may go on in further buffers (5.18), of which programs see the first. Asked only where the
 * first ends before its IP header says. */
enum bpf_func_id___buffers { BPF_FUNC_xdp_get_buff_len___buffers = 188 };
static __noinline u32 buffers_size(struct xdp_md *ctx)
{
	u32 linear = ctx->data_end - ctx->data;

	if (bpf_core_enum_value_exists(enum bpf_func_id___buffers,
				       BPF_FUNC_xdp_get_buff_len___buffers))
		return bpf_xdp_get_buff_len(ctx);
	return linear;
}

static __always_inline u32 frame_size(struct xdp_md *ctx)
{
	return buffers_size(ctx);
}

/* Nothing at XDP. */
static __always_inline int packet_change(struct xdp_md *ctx, const struct packet_rule *rule,
					 struct packet *p)
{
	return ASK_ON;
}

static __always_inline void rules_narrow(struct xdp_md *ctx, const struct packet_plan *plan,
					 u32 gen, u32 nth, bool asked)
{
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct answering);
} packet_answering SEC(".maps");

__noinline int packet_answer(struct xdp_md *ctx, u32 nth)
{
	struct in_hand *in_hand = packet_in_hand(nth);
	struct answering *making;
	u32 zero = 0;

	making = bpf_map_lookup_elem(&packet_answering, &zero);
	return in_hand && making && syn_answer(ctx, &in_hand->packet, making) ? JUDGED_ANSWERED
									     : ASK_ON;
}

static __always_inline int packet_decide(struct xdp_md *ctx)
{
	u32 gen = policy_generation(), ifindex = ctx->ingress_ifindex;
	struct in_hand *in_hand = packet_in_hand(0);
	const struct packet_plan *plan;
	struct packet *p;
	bool asked;
	int judged;

	if (gen == POLICY_NOBODY || !in_hand)
		return XDP_PASS;
	plan = plan_of(gen);
	if (!plan)
		return XDP_PASS;
	asked = is_question(ctx, plan, &ifindex);
	p = &in_hand->packet;
	__builtin_memset(p, 0, sizeof(*p));
	p->ifindex = ifindex;
	p->segments = 1;
	p->size = ctx->data_end - ctx->data;
	packet_read(ctx, p, 0, 0);
	judged = packet_judge(ctx, plan, gen, 0, in_hand, asked);
	if (judged == JUDGED_ANSWERED)
		return XDP_TX;
	return judged == JUDGED_DROP ? XDP_DROP : XDP_PASS;
}

/* Frames of several buffers (large MTU) reach only programs that say that they know of them. */
ALT(packet, 1)
NEED("helper xdp_get_buff_len") LATER SEC("?xdp.frags") int packet_buffers(struct xdp_md *ctx)
{
	return packet_decide(ctx);
}

ALT(packet, 2) LATER SEC("?xdp") int packet_buffer(struct xdp_md *ctx)
{
	return packet_decide(ctx);
}

/* Where SYNs are answered with more than a cookie has room for. */
OPTIONAL("options of TCP in connections that were answered with cookies")
NEED("kfunc bpf_sk_assign_tcp_reqsk") LATER SEC("?tcx/ingress") int packet_acks(struct __sk_buff *ctx)
{
	return ack_judge(ctx);
}
