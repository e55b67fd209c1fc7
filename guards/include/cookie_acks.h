/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * ACKs of SYN-ACKs that were made with a seal (cookie_options.h), at TC: the stack is handed the connection's
 * options with the packet (6.9). All else passes untouched: what has no seal, whatever belongs to a
 * connection already, and cookies that the kernel doesn't know for its own, which it refuses itself.
 */
#pragma once

#include "cookies.h"

/* What the stack takes as settled. */
struct bpf_tcp_req_attrs {
	u32 rcv_tsval, rcv_tsecr;
	u16 mss;
	u8 rcv_wscale, snd_wscale;
	u8 ecn_ok, wscale_ok, sack_ok, tstamp_ok, usec_ts_ok;
	u8 reserved[3];
};

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym __weak;

enum {
	TC_ACT_UNSPEC = -1,
	TC_ACT_SHOT = 2,
	TCP_STAMPED = 32,           /* a header that has timestamps is no shorter */
	STAMP_ALIGNED = 0x0101080a, /* how nearly all begin */
	HANDED = 64,
	BATCH_NS = 2000000,
};

/* Whose options the stack was handed last on this CPU. Packets come by in batches, and what comes right behind the
 * ACK finds its connection only when the stack has seen that: handed the options too, it would be refused as
 * a second one. */
struct handed {
	u64 at_ns;
	u64 cookie;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HANDED);
	__type(key, u32);
	__type(value, struct handed);
} packet_handed SEC(".maps");

static __always_inline bool is_handed(u32 cookie)
{
	u32 at = cookie & (HANDED - 1);
	struct handed *last = bpf_map_lookup_elem(&packet_handed, &at);
	u64 now = bpf_ktime_get_ns();

	if (!last || (last->cookie == cookie && now - last->at_ns < BATCH_NS))
		return true;
	last->cookie = cookie;
	last->at_ns = now;
	return false;
}

/* An ACK whose headers are in hand. */
struct closing {
	union {
		struct ipv4 ipv4;
		struct ipv6 ipv6;
	};
	struct tcp tcp;
	u32 from[4], to[4];
	bool is_v6;
	u32 stamp, echo;
};

/* From the IP header on: where the frame begins newer kernels (6.18) forget at TC, behind generic XDP. */
static __always_inline bool skb_load(struct __sk_buff *ctx, u32 offset, void *to, u32 size)
{
	return !bpf_skb_load_bytes_relative(ctx, offset, to, size, BPF_HDR_START_NET);
}

/* Where its TCP header is; 0: it has none. */
static __always_inline u32 addresses_load(struct __sk_buff *ctx, struct closing *c)
{
	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		if (!skb_load(ctx, 0, &c->ipv4, sizeof(c->ipv4)) || c->ipv4.version_words != 0x45 ||
		    c->ipv4.protocol != IPPROTO_TCP ||
		    c->ipv4.fragment & bpf_htons(IP_MORE | IP_OFFSET))
			return 0;
		c->from[0] = c->ipv4.source;
		c->to[0] = c->ipv4.dest;
		return sizeof(c->ipv4);
	}
	if (ctx->protocol != bpf_htons(ETH_P_IPV6) ||
	    !skb_load(ctx, 0, &c->ipv6, sizeof(c->ipv6)) || c->ipv6.next != IPPROTO_TCP)
		return 0;
	__builtin_memcpy(c->from, c->ipv6.source, sizeof(c->from));
	__builtin_memcpy(c->to, c->ipv6.dest, sizeof(c->to));
	c->is_v6 = true;
	return sizeof(c->ipv6);
}

/* Is it an ACK with timestamps? Its options are read. */
static __always_inline bool closing_load(struct __sk_buff *ctx, struct closing *c)
{
	struct tcp_reading *ack = reading_here();
	u32 at, size;

	__builtin_memset(c, 0, sizeof(*c));
	at = addresses_load(ctx, c);
	if (!at || !ack || !skb_load(ctx, at, &ack->header, TCP_STAMPED))
		return false;
	__builtin_memcpy(&c->tcp, &ack->header, sizeof(c->tcp));
	size = (c->tcp.words >> 4) * 4;
	if ((c->tcp.flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK || size < TCP_STAMPED)
		return false;
	if (size == TCP_STAMPED && ack->header.words[5] == bpf_htonl(STAMP_ALIGNED)) {
		c->stamp = bpf_ntohl(ack->header.words[6]);
		c->echo = bpf_ntohl(ack->header.words[7]);
		return true;
	}
	barrier_var(size);
	if (size > TCP_STAMPED && size <= 60 && !skb_load(ctx, at, &ack->header, size))
		return false;
	options_read(ack, size);
	c->stamp = ack->options.stamp;
	c->echo = ack->options.echo;
	return ack->options.has_stamp;
}

/* Does its timestamp carry what was granted? */
static __always_inline bool has_seal(const struct closing *c)
{
	const struct packet_cookies *cookies = cookies_here();

	return cookies && stamp_sealed(cookies, c->from, c->to,
				       (u32)bpf_ntohs(c->tcp.source) << 16 | bpf_ntohs(c->tcp.dest),
				       bpf_ntohl(c->tcp.ack) - 1,
				       c->echo & ((1 << SEALED_BITS) - 1)) == c->echo;
}

static __always_inline struct bpf_sock *socket_of(struct __sk_buff *ctx, const struct closing *c)
{
	struct bpf_sock_tuple tuple = {};

	if (!c->is_v6) {
		tuple.ipv4.saddr = c->from[0];
		tuple.ipv4.daddr = c->to[0];
		tuple.ipv4.sport = c->tcp.source;
		tuple.ipv4.dport = c->tcp.dest;
		return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(tuple.ipv6.saddr, c->from, sizeof(c->from));
	__builtin_memcpy(tuple.ipv6.daddr, c->to, sizeof(c->to));
	tuple.ipv6.sport = c->tcp.source;
	tuple.ipv6.dport = c->tcp.dest;
	return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* Is the cookie the kernel's, and not too old? */
static __always_inline bool cookie_holds(struct closing *c)
{
	return !(c->is_v6 ? bpf_tcp_raw_check_syncookie_ipv6((void *)&c->ipv6, (void *)&c->tcp)
			  : bpf_tcp_raw_check_syncookie_ipv4((void *)&c->ipv4, (void *)&c->tcp));
}

/* To the socket that listens. What it can't be handed must not get to the stack, which would take the seal for
 * a time of its own: the client sends it again. */
static __always_inline int ack_hand(struct __sk_buff *ctx, struct closing *c,
				    struct bpf_sock *listener)
{
	struct sock *sk = (void *)bpf_skc_to_tcp_sock(listener);
	u32 granted = c->echo & ((1 << SEALED_BITS) - 1);
	struct bpf_tcp_req_attrs attrs = {
		.rcv_tsval = c->stamp,
		.rcv_tsecr = c->echo,
		.mss = segment_sizes[granted >> GRANTED_SIZE_SHIFT & (SEGMENT_SIZES - 1)],
		.tstamp_ok = 1,
		.sack_ok = !!(granted & GRANTED_SACK),
	};

	if (!sk || !cookie_holds(c) || is_handed(bpf_ntohl(c->tcp.ack)))
		return TC_ACT_UNSPEC;
	if ((granted & SCALE_NONE) != SCALE_NONE) {
		attrs.wscale_ok = 1;
		attrs.snd_wscale = granted & SCALE_NONE;
		attrs.rcv_wscale = granted >> GRANTED_SCALE_SHIFT & SCALE_NONE;
	}
	return bpf_sk_assign_tcp_reqsk(ctx, sk, &attrs, sizeof(attrs)) ? TC_ACT_SHOT
								       : TC_ACT_UNSPEC;
}

static __always_inline int ack_judge(struct __sk_buff *ctx)
{
	struct bpf_sock *sock;
	int action = TC_ACT_UNSPEC;
	struct closing c;

	if (!closing_load(ctx, &c) || !has_seal(&c))
		return TC_ACT_UNSPEC;
	sock = socket_of(ctx, &c);
	if (!sock)
		return TC_ACT_UNSPEC;
	if (sock->state == BPF_TCP_LISTEN)
		action = ack_hand(ctx, &c, sock);
	bpf_sk_release(sock);
	return action;
}
