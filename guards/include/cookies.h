/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * SYNs answered with SYN cookies. The cookie is the kernel's own, for the socket that listens: the ACK that
 * brings it back is taken by the stack as if it had sent it, so nothing is kept here. The helpers that make
 * cookies without a socket (6.0) are of no use to a host: its stack takes a cookie only while the listening
 * socket remembers that its queue ran over, which only this helper and the stack itself write down. What the
 * cookie has no room for travels in a timestamp (cookie_options.h).
 */
#pragma once

#include "abi/packet.h"
#include "cookie_options.h"
#include "packet.h"

enum {
	TCP_WORDS = 5,      /* of a header without options */
	TCP_WORDS_MAX = 15,
	/* with their length */
	TCP_OPTION_MSS = 0x0204,
	TCP_OPTION_SACK = 0x0402,
	TCP_OPTION_STAMP = 0x080a,
	TCP_OPTION_NONE = 0x0101, /* two of them */
	COOKIE_WINDOW = 14600, /* what a client may send before the stack knows of it: ten segments */
	COOKIE_HOPS = 64,
	IP_DONT_FRAGMENT = 0x4000,
	FRAME_MIN = 60,
};

/* The TCP header of an answer, with its options: as far as one of these. */
struct answer {
	struct tcp tcp;
	u16 mss_option, mss;
	u16 sack_option; /* or two of none */
	u16 stamp_option;
	u32 stamp, echo;
	u8 nop, scale_option, scale_size, scale;
};
enum {
	ANSWER_BARE = offsetof(struct answer, mss_option),
	ANSWER_MSS = offsetof(struct answer, sack_option),
	ANSWER_STAMP = offsetof(struct answer, nop),
	ANSWER_SCALE = sizeof(struct answer),
};

/* A SYN whose header is in hand. */
struct opening {
	void *ip;
	struct tcp *tcp;
	u32 ip_size;
	u32 tcp_size;
};

/* The socket that listens for it; NULL: none, or it belongs to a connection. */
static __always_inline struct bpf_sock *listener_of(struct xdp_md *ctx, const struct packet *p)
{
	struct bpf_sock *sock = tcp_socket(ctx, p);

	if (!sock || sock->state == BPF_TCP_LISTEN)
		return sock;
	bpf_sk_release(sock);
	return NULL;
}

/* What is made on the way, too large for the stack. */
struct answering {
	struct bpf_fib_lookup fib;
	u32 granted;
	u32 keeping; /* enum keeping */
	u32 echo;    /* the client's timestamp */
	struct answer answer;
};

/* Is it for this machine? A socket that listens at all addresses would be found for every other's too. */
static __always_inline bool is_for_us(struct xdp_md *ctx, const struct packet *p,
				      struct bpf_fib_lookup *fib)
{
	long found;

	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = ctx->ingress_ifindex;
	fib->family = p->family == 4 ? AF_INET : AF_INET6;
	fib->l4_protocol = IPPROTO_TCP;
	__builtin_memcpy(fib->ipv6_src, p->source, sizeof(fib->ipv6_src));
	__builtin_memcpy(fib->ipv6_dst, p->dest, sizeof(fib->ipv6_dst));
	found = bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* The helper wants the header whole, in a place whose size is known. */
static __always_inline bool header_copy(struct tcp_header *to, const void *from, const void *end,
					u32 words)
{
	for (u32 i = 0; i < TCP_WORDS_MAX && i < words; i++) {
		if (from + 4 * i + 4 > end)
			return false;
		to->words[i] = *(const u32 *)(from + 4 * i);
	}
	return true;
}

static __always_inline u16 sum_folded(u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* How far the options go that the client is granted, `room` bytes at most: its own SYN's. */
static __always_inline u32 answer_size(const struct answering *making, u32 room)
{
	u32 size = ANSWER_MSS;

	if (making->keeping != KEEP_NO_OPTIONS)
		size = (making->granted & SCALE_NONE) == SCALE_NONE ? ANSWER_STAMP : ANSWER_SCALE;
	if (size > room)
		size = room < ANSWER_MSS ? ANSWER_BARE : ANSWER_MSS;
	return size;
}

static __always_inline void stamp_make(struct answering *making, const struct packet *p, u32 cookie)
{
	const struct packet_cookies *cookies = cookies_here();
	struct answer *a = &making->answer;
	u32 granted = making->granted, stamp = 0;

	if (making->keeping == KEEP_TIMED)
		stamp = stamp_timed(granted);
	else if (cookies)
		stamp = stamp_sealed(cookies, p->source, p->dest,
				     (u32)p->source_port << 16 | p->dest_port, cookie, granted);
	a->sack_option = bpf_htons(granted & GRANTED_SACK ? TCP_OPTION_SACK : TCP_OPTION_NONE);
	a->stamp_option = bpf_htons(TCP_OPTION_STAMP);
	a->stamp = bpf_htonl(stamp);
	a->echo = bpf_htonl(making->echo);
}

static __always_inline void answer_make(struct answering *making, const struct packet *p, u32 seq,
					u64 cookie, u32 size)
{
	struct answer *a = &making->answer;
	u64 sum;

	__builtin_memset(a, 0, sizeof(*a));
	a->tcp.source = bpf_htons(p->dest_port);
	a->tcp.dest = bpf_htons(p->source_port);
	a->tcp.seq = bpf_htonl((u32)cookie);
	a->tcp.ack = bpf_htonl(bpf_ntohl(seq) + 1);
	a->tcp.words = size << 2;
	a->tcp.flags = TCP_SYN | TCP_ACK;
	a->tcp.window = bpf_htons(COOKIE_WINDOW);
	if (size >= ANSWER_MSS) {
		a->mss_option = bpf_htons(TCP_OPTION_MSS);
		a->mss = bpf_htons(cookie >> 32);
	}
	if (size >= ANSWER_STAMP)
		stamp_make(making, p, (u32)cookie);
	if (size >= ANSWER_SCALE) {
		a->nop = OPTION_NOP;
		a->scale_option = OPTION_SCALE;
		a->scale_size = 3;
		a->scale = making->granted >> GRANTED_SCALE_SHIFT & SCALE_NONE;
	}
	/* addresses of IPv4 take the first word, the others are zero */
	sum = bpf_csum_diff(NULL, 0, (u32 *)p->source, sizeof(p->source), 0);
	sum += bpf_csum_diff(NULL, 0, (u32 *)p->dest, sizeof(p->dest), 0);
	sum += bpf_csum_diff(NULL, 0, (u32 *)a, sizeof(*a), 0);
	a->tcp.checksum = sum_folded(sum + bpf_htons(IPPROTO_TCP) + bpf_htons(size));
}

/* Into the place of the SYN's header; false: it ends before. */
static __always_inline bool answer_put(struct tcp *to, const struct answer *a, u32 size, void *end)
{
	if (size == ANSWER_SCALE && (void *)to + ANSWER_SCALE <= end)
		__builtin_memcpy(to, a, ANSWER_SCALE);
	else if (size == ANSWER_STAMP && (void *)to + ANSWER_STAMP <= end)
		__builtin_memcpy(to, a, ANSWER_STAMP);
	else if (size == ANSWER_MSS && (void *)to + ANSWER_MSS <= end)
		__builtin_memcpy(to, a, ANSWER_MSS);
	else if (size == ANSWER_BARE && (void *)to + ANSWER_BARE <= end)
		__builtin_memcpy(to, a, ANSWER_BARE);
	else
		return false;
	return true;
}

static __always_inline void ipv4_turn(struct ipv4 *ip, const struct packet *p, u32 size)
{
	ip->tos = 0;
	ip->size = bpf_htons(sizeof(*ip) + size);
	ip->id = 0;
	ip->fragment = bpf_htons(IP_DONT_FRAGMENT);
	ip->hops = COOKIE_HOPS;
	ip->checksum = 0;
	ip->source = p->dest[0];
	ip->dest = p->source[0];
	ip->checksum = sum_folded(bpf_csum_diff(NULL, 0, (u32 *)ip, sizeof(*ip), 0));
}

static __always_inline void ipv6_turn(struct ipv6 *ip, const struct packet *p, u32 size)
{
	ip->version_class_label = bpf_htonl(6u << 28);
	ip->size = bpf_htons(size);
	ip->hops = COOKIE_HOPS;
	__builtin_memcpy(ip->source, p->dest, sizeof(ip->source));
	__builtin_memcpy(ip->dest, p->source, sizeof(ip->dest));
}

static __always_inline void ethernet_turn(struct ethernet *ethernet)
{
	struct ethernet was = *ethernet;

	__builtin_memcpy(ethernet->dest, was.source, sizeof(was.source));
	__builtin_memcpy(ethernet->source, was.dest, sizeof(was.dest));
}

/* The cookie, with the segment size it stands for above it; negative: none is to be had. Finds out what options
 * the client is granted. */
static __always_inline s64 cookie_for(struct xdp_md *ctx, const struct packet *p,
				      const struct opening *o, struct answering *making, void *end)
{
	const struct packet_cookies *cookies = cookies_here();
	u64 options = (o->tcp_size / 4 - TCP_WORDS);
	struct tcp_reading *syn = reading_here();
	struct bpf_sock *sock;
	s64 cookie;

	if (!cookies || !syn || !header_copy(&syn->header, o->tcp, end, o->tcp_size / 4))
		return -1;
	options_read(syn, o->tcp_size);
	sock = listener_of(ctx, p);
	if (!sock)
		return -1;
	barrier_var(options); /* without a condition, of which 5.10 learns nothing */
	cookie = bpf_tcp_gen_syncookie(sock, o->ip, o->ip_size, (void *)&syn->header,
				       sizeof(struct tcp) + (options & 15) * 4);
	making->keeping = keeping_of(cookies, p, &syn->options, sock, &making->granted);
	making->granted |= segment_size_of(cookie >> 32 & 0xffff) << GRANTED_SIZE_SHIFT;
	making->echo = syn->options.stamp;
	bpf_sk_release(sock);
	return cookie;
}

/* Is the SYN one that can be answered in its place? `o` is filled. */
static __always_inline bool opening_find(struct xdp_md *ctx, const struct packet *p,
					 struct opening *o)
{
	void *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 offset = p->network;

	if (!p->plain || !(p->kinds & PACKET_SYN) || (p->kinds & (PACKET_FRAGMENT | PACKET_MALFORMED)) ||
	    end - at != p->size || offset > 64)
		return false;
	barrier_var(offset);
	o->ip = at + (offset & 127);
	o->ip_size = p->family == 4 ? sizeof(struct ipv4) : sizeof(struct ipv6);
	return true;
}

/* Makes the SYN in hand its own answer; false: that can't be, it is as it was. */
static __always_inline bool syn_answer(struct xdp_md *ctx, const struct packet *p,
				      struct answering *making)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethernet *ethernet = (void *)(long)ctx->data;
	struct opening o = {};
	s64 cookie, excess;
	u32 size;

	if (!opening_find(ctx, p, &o))
		return false;
	o.tcp = p->family == 4 ? o.ip + sizeof(struct ipv4) : o.ip + sizeof(struct ipv6);
	if ((void *)(o.tcp + 1) > end || (void *)(ethernet + 1) > end || !is_for_us(ctx, p, &making->fib))
		return false;
	o.tcp_size = (o.tcp->words >> 4) * 4;
	cookie = cookie_for(ctx, p, &o, making, end);
	if (cookie < 0)
		return false;
	size = answer_size(making, o.tcp_size);
	answer_make(making, p, o.tcp->seq, cookie, size);
	if (!answer_put(o.tcp, &making->answer, size, end))
		return false;
	if (p->family == 4)
		ipv4_turn(o.ip, p, size);
	else
		ipv6_turn(o.ip, p, size);
	ethernet_turn(ethernet);
	excess = p->size - (p->network + o.ip_size + size);
	if (p->size - excess < FRAME_MIN)
		excess = (s64)p->size - FRAME_MIN;
	if (excess > 0)
		bpf_xdp_adjust_tail(ctx, -(int)excess); /* where it can't, what is left is padding */
	return true;
}
