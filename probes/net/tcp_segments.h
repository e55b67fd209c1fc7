/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Segments that net.tcp's connections send again, and resets: told only where they are asked for.
 */
#pragma once

static __noinline int segment_tell(void *ctx, const struct sock *sk, enum tcp_step step)
{
	struct connection *c = connection_of(sk);
	struct step s = { .step = step, .outcome = TCP_OUTCOME_OK };

	return step_tell(ctx, sk, c ?: connection_late(sk), &s);
}

SEC("tp_btf/tcp_retransmit_skb") int BPF_PROG(sent_again, const struct sock *sk)
{
	return segments && events_wanted() ? segment_tell(ctx, sk, TCP_STEP_RETRANSMIT) : 0;
}

SEC("tp_btf/tcp_receive_reset") int BPF_PROG(reset_received, const struct sock *sk)
{
	return segments || tables_wanted() ? segment_tell(ctx, sk, TCP_STEP_RESET_RECEIVED) : 0;
}

/* For a packet that belongs to no connection: the packet says what is known. */
static __noinline int stray_told(void *ctx, const struct skb_ends *ends, u64 key, u32 reason)
{
	struct step s = { .step = TCP_STEP_RESET_SENT, .outcome = TCP_OUTCOME_OK };
	struct connection *c = connection_new(key);

	if (!c || !ends)
		return 0;
	cause_unknown(&c->cause);
	s.reset_reason = reason;
	s.local = ends->to;
	s.local_port = ends->to_port;
	s.peer = ends->from;
	s.peer_port = ends->from_port;
	if (cause_wanted(&c->cause))
		step_send(ctx, NULL, c, &s);
	return bpf_map_delete_elem(&known, &key);
}

static __noinline int reset_stray(void *ctx, const struct sk_buff *skb, u32 reason)
{
	struct stray_labels key = {};
	struct stray_values *row;
	struct skb_flow flow = {};

	skb_flow(skb, &flow);
	if (table_wanted(strays)) {
		if (label(strays, 0))
			key.port = flow.ends.to_port;
		if (label(strays, 1))
			key.peer = flow.ends.from;
		row = row_of(strays, &key);
		if (row)
			add(row->resets, 1);
	}
	return events_wanted() ? stray_told(ctx, &flow.ends, (u64)skb, reason) : 0;
}

static __noinline int reset_asked(void *ctx, const struct sock *sk, u32 reason)
{
	struct connection *c = connection_of(sk);
	struct step s = { .step = TCP_STEP_RESET_SENT, .outcome = TCP_OUTCOME_OK };

	s.reset_reason = reason;
	return step_tell(ctx, sk, c, &s);
}

static __always_inline bool is_connection(const struct sock *sk)
{
	struct connection *c = connection_of(sk);

	return c && !c->listening;
}

static __always_inline int reset_sent(void *ctx, const struct sock *sk, const struct sk_buff *skb,
				      u32 reason)
{
	if (!segments && !tables_wanted())
		return 0;
	if (sk && is_connection(sk))
		return reset_asked(ctx, sk, reason);
	return skb ? reset_stray(ctx, skb, reason) : 0;
}

/* the reason came in 6.10 (19822a980e19), and with it resets of no socket's */
ALT(reset, 1)
NEED("tpargs tcp_send_reset 3")
SEC("?tp_btf/tcp_send_reset")
int BPF_PROG(reset, const struct sock *sk, const struct sk_buff *skb, u32 reason)
{
	return reset_sent(ctx, sk, skb, reason);
}

ALT(reset, 2)
NEED("tpargs tcp_send_reset 2")
SEC("?tp_btf/tcp_send_reset")
int BPF_PROG(reset_69, const struct sock *sk, const struct sk_buff *skb)
{
	return reset_sent(ctx, sk, skb, 0);
}
