/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* For packet.h: frames whose bytes a program may point at (XDP, TC), and what it can ask of sockets. */
#pragma once

#define FRAME_KIND "frame"
#include "packet_judge.h"

static __always_inline const void *frame_at(struct frame *ctx, u32 offset, u32 size, void *room)
{
	void *at = (void *)(long)ctx->data + offset, *end = (void *)(long)ctx->data_end;

	return at + size <= end ? at : NULL;
}

/* Does the frame ask? Then it says which interface it is to have come by, in place of addresses. */
static __always_inline bool is_question(struct frame *ctx, const struct packet_plan *plan,
					u32 *ifindex)
{
	struct packet_question *asks = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (!plan->question || (void *)(asks + 1) > end || asks->question != plan->question)
		return false;
	*ifindex = asks->ifindex;
	return true;
}

/* The TCP socket that it is for, or from; NULL: none. To be released. */
static __always_inline struct bpf_sock *tcp_socket(struct frame *ctx, const struct packet *p)
{
	const u32 *source = p->out ? p->dest : p->source, *dest = p->out ? p->source : p->dest;
	u16 source_port = bpf_htons(p->out ? p->dest_port : p->source_port);
	u16 dest_port = bpf_htons(p->out ? p->source_port : p->dest_port);
	struct bpf_sock_tuple tuple = {};
	u32 size;

	if (p->family == 4) {
		tuple.ipv4.saddr = source[0];
		tuple.ipv4.daddr = dest[0];
		tuple.ipv4.sport = source_port;
		tuple.ipv4.dport = dest_port;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, source, sizeof(p->source));
		__builtin_memcpy(tuple.ipv6.daddr, dest, sizeof(p->dest));
		tuple.ipv6.sport = source_port;
		tuple.ipv6.dport = dest_port;
		size = sizeof(tuple.ipv6);
	}
	return bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

static __noinline bool is_established(struct frame *ctx, const struct packet *p)
{
	struct bpf_sock *sock = tcp_socket(ctx, p);
	u32 state;

	if (!sock)
		return false;
	state = sock->state;
	bpf_sk_release(sock);
	if (p->out && (state == BPF_TCP_SYN_RECV || state == BPF_TCP_NEW_SYN_RECV))
		return false; /* an answer to what opens one is a first SYN too */
	return state != BPF_TCP_LISTEN && state != BPF_TCP_CLOSE;
}

/* The first bytes of the frame. */
static __always_inline u32 frame_copy(struct frame *ctx, void *to, u32 most)
{
	void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 size = end - at;

	if (size > most)
		size = most;
	barrier_var(size);
	if (!size || size > PACKET_SNAP_MAX)
		return 0;
	return bpf_probe_read_kernel(to, size, at) ? 0 : size;
}
