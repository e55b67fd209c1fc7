/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * SYNs answered with SYN cookies. The cookie is the kernel's own, for the socket that listens: the ACK that
 * brings it back is taken by the stack as if it had sent it, so nothing is kept here. The helpers that make
 * cookies without a socket (6.0) are of no use to a host: its stack takes a cookie only while the listening
 * socket remembers that its queue ran over, which only this helper and the stack itself write down.
 */
#pragma once

#include "abi/packet.h"
#include "packet.h"

enum {
	TCP_WORDS = 5,      /* of a header without options */
	TCP_WORDS_MAX = 15,
	TCP_OPTION_MSS = 0x0204, /* with its length */
	COOKIE_WINDOW = 14600, /* what a client may send before the stack knows of it: ten segments */
	COOKIE_HOPS = 64,
	IP_DONT_FRAGMENT = 0x4000,
	FRAME_MIN = 60,
};

struct tcp_header { /* with room for what the verifier takes for its most */
	u32 words[TCP_WORDS + 16];
};

/* The TCP header of an answer, with its option. */
struct answer {
	struct tcp tcp;
	u16 option, mss;
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
	struct tcp_header header;
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

static __always_inline void answer_make(struct answer *a, const struct packet *p, u32 seq,
					u64 cookie, u32 size)
{
	u64 sum;

	__builtin_memset(a, 0, sizeof(*a));
	a->tcp.source = bpf_htons(p->dest_port);
	a->tcp.dest = bpf_htons(p->source_port);
	a->tcp.seq = bpf_htonl((u32)cookie);
	a->tcp.ack = bpf_htonl(bpf_ntohl(seq) + 1);
	a->tcp.words = size << 2;
	a->tcp.flags = TCP_SYN | TCP_ACK;
	a->tcp.window = bpf_htons(COOKIE_WINDOW);
	if (size > sizeof(a->tcp)) {
		a->option = bpf_htons(TCP_OPTION_MSS);
		a->mss = bpf_htons(cookie >> 32);
	}
	/* addresses of IPv4 take the first word, the others are zero */
	sum = bpf_csum_diff(NULL, 0, (u32 *)p->source, sizeof(p->source), 0);
	sum += bpf_csum_diff(NULL, 0, (u32 *)p->dest, sizeof(p->dest), 0);
	sum += bpf_csum_diff(NULL, 0, (u32 *)a, sizeof(*a), 0);
	a->tcp.checksum = sum_folded(sum + bpf_htons(IPPROTO_TCP) + bpf_htons(size));
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

/* The cookie, with the segment size it stands for above it; negative: none is to be had. */
static __always_inline s64 cookie_for(struct xdp_md *ctx, const struct packet *p,
				      const struct opening *o, struct tcp_header *header, void *end)
{
	u64 options = (o->tcp_size / 4 - TCP_WORDS);
	struct bpf_sock *sock;
	s64 cookie;

	if (!header_copy(header, o->tcp, end, o->tcp_size / 4))
		return -1;
	sock = listener_of(ctx, p);
	if (!sock)
		return -1;
	barrier_var(options); /* without a condition, of which 5.10 learns nothing */
	cookie = bpf_tcp_gen_syncookie(sock, o->ip, o->ip_size, (void *)header,
				       sizeof(struct tcp) + (options & 15) * 4);
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
	struct answer *answer = &making->answer;
	struct opening o = {};
	u32 size = sizeof(*answer);
	s64 cookie, excess;

	if (!opening_find(ctx, p, &o))
		return false;
	o.tcp = p->family == 4 ? o.ip + sizeof(struct ipv4) : o.ip + sizeof(struct ipv6);
	if ((void *)(o.tcp + 1) > end || (void *)(ethernet + 1) > end || !is_for_us(ctx, p, &making->fib))
		return false;
	o.tcp_size = (o.tcp->words >> 4) * 4;
	cookie = cookie_for(ctx, p, &o, &making->header, end);
	if (cookie < 0)
		return false;
	if ((void *)o.tcp + sizeof(*answer) > end || o.tcp_size < sizeof(*answer))
		size = sizeof(answer->tcp); /* it has no options; so hasn't the answer */
	answer_make(answer, p, o.tcp->seq, cookie, size);
	if (size == sizeof(*answer) && (void *)o.tcp + sizeof(*answer) <= end)
		*(struct answer *)o.tcp = *answer;
	else
		*o.tcp = answer->tcp;
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
