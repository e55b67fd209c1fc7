/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The parser of packets, one for all guards. What it can't read to the end is not guessed: each such
 * case is a form of its own (enum packet_form), and whatever was read before it stands. Lengths count
 * as the IP header says them, not as the frame has them: what is behind them is padding.
 *
 * A guard says beforehand what it is handed (#define frame xdp_md), and how that is read: frame_at(),
 * frame_size().
 */
#pragma once

#include "abi/ip_protocols.h"
#include "abi/packet.h"
#include "kernel/inet.h"

enum {
	ETH_VLAN = 0x8100,
	ETH_QINQ = 0x88a8,
	ETH_QINQ_OLD = 0x9100,
	IP_MORE = 0x2000,
	IP_OFFSET = 0x1fff,
	IPPROTO_ICMP = 1,
	IPPROTO_IGMP = 2,
	IPPROTO_ESP = 50,
	IPPROTO_AH = 51,
	IPPROTO_ICMPV6 = 58,
	IPPROTO_NONE = 59,
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
	LOOPBACK_IFINDEX = 1, /* in every network namespace */
};

/* As events tell it. */
enum ip_protocol {
	PROTOCOL_HOP_BY_HOP = 0,
#define X(name, word, number) PROTOCOL_##name = number,
	IP_PROTOCOLS(X)
#undef X
};

struct packet {
	u32 source[4], dest[4]; /* as on the wire; IPv4 in the first */
	u16 source_port, dest_port;
	u32 size;     /* of the frame */
	u32 ifindex;  /* that it came by, or leaves by */
	u32 target;   /* that it is to leave by instead; 0: it is not */
	u16 begins;   /* one more than the rule by which a flood begins with it; 0: none */
	u16 segments; /* that it is sent in; 1 but for what the card is to cut */
	u16 network;  /* where its IP header is in the frame */
	u8 family;    /* 4, 6; 0: it has no addresses */
	u8 protocol;
	u8 kinds;      /* enum packet_kind */
	u8 form;       /* enum packet_form */
	u8 flags;      /* of TCP */
	u8 type, code; /* of ICMP */
	u8 hops;       /* left */
	u8 place;      /* enum packet_place: where it is judged */
	u8 post;       /* its class of PACKET_POST */
	bool has_ports;
	bool has_type;
	bool more;  /* a first fragment: the rest of what its header tells of comes later */
	bool local; /* on the loopback device */
	bool plain; /* nothing is between the IP header, which has no options, and what it carries */
	bool out;   /* it leaves, and was not sent to us */
};

struct ethernet {
	u8 dest[6], source[6];
	u16 type;
} __attribute__((packed));

struct vlan {
	u16 tag, type;
};

struct ipv4 {
	u8 version_words;
	u8 tos;
	u16 size, id, fragment;
	u8 hops, protocol;
	u16 checksum;
	u32 source, dest;
};

struct ipv6 {
	u32 version_class_label;
	u16 size;
	u8 next, hops;
	u32 source[4], dest[4];
};

/* Of an extension header; `offset` is a fragment's, `kind` and `left` those of routing. */
struct ipv6_extension {
	u8 next, words;
	union {
		u16 offset;
		struct {
			u8 kind, left;
		};
	};
	u32 rest;
};

struct tcp {
	u16 source, dest;
	u32 seq, ack;
	u8 words, flags;
	u16 window, checksum, urgent;
};

struct udp {
	u16 source, dest, size, checksum;
};

struct icmp {
	u8 type, code;
	u16 checksum;
	u32 rest;
};

/* `size` bytes at `offset` of the frame, NULL: they can't be read. A guard that can't point into the frame
 * copies them to `room`. */
static __always_inline const void *frame_at(struct frame *ctx, u32 offset, u32 size, void *room);
/* The whole of it, also what frame_at() doesn't reach. */
static __always_inline u32 frame_size(struct frame *ctx);

static __always_inline void malformed(struct packet *p, enum packet_form form)
{
	p->form = form;
	p->kinds |= PACKET_MALFORMED;
}

/* ---- what is behind the IP header: `left` bytes from `at` ---- */

static __always_inline bool tcp_flags_wrong(u8 flags)
{
	u8 opening = flags & (TCP_SYN | TCP_FIN | TCP_RST);

	if (!(flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)))
		return true;
	if (opening & (opening - 1)) /* two of them */
		return true;
	return (flags & (TCP_FIN | TCP_ACK)) == TCP_FIN;
}

static __always_inline void ports_read(struct packet *p, u16 source, u16 dest)
{
	p->has_ports = true;
	p->source_port = bpf_ntohs(source);
	p->dest_port = bpf_ntohs(dest);
	if (!source || !dest)
		malformed(p, PACKET_PORT_ZERO);
}

static __always_inline void tcp_read(struct packet *p, const struct tcp *tcp, u32 left)
{
	u32 size = (tcp->words >> 4) * 4;

	p->flags = tcp->flags;
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		p->kinds |= PACKET_SYN;
	ports_read(p, tcp->source, tcp->dest);
	if (size < sizeof(*tcp))
		malformed(p, PACKET_CONTRADICTION);
	else if (size > left)
		malformed(p, p->more ? PACKET_TINY_FRAGMENT : PACKET_CONTRADICTION);
	else if (tcp_flags_wrong(tcp->flags))
		malformed(p, PACKET_BAD_FLAGS);
}

static __always_inline void udp_read(struct packet *p, const struct udp *udp, u32 left)
{
	u32 size = bpf_ntohs(udp->size);
	/* a jumbogram doesn't say */
	bool unsaid = !size && left > 65535;

	ports_read(p, udp->source, udp->dest);
	if (!unsaid && (size < sizeof(*udp) || (size > left && !p->more)))
		malformed(p, PACKET_CONTRADICTION);
}

/* Of the header, as far as it is read; 0: of no protocol that is. No switch: clang 14 falls over the
 * table that it makes of it. */
static __always_inline u32 transport_size(u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return sizeof(struct tcp);
	if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_ICMP ||
	    protocol == IPPROTO_ICMPV6)
		return sizeof(struct udp);
	return protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ? 12 : 0;
}

static __always_inline void transport_kind(struct packet *p)
{
	if (p->protocol == IPPROTO_TCP)
		p->kinds |= PACKET_TCP;
	else if (p->protocol == IPPROTO_UDP)
		p->kinds |= PACKET_UDP;
	else if (p->protocol == (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		p->kinds |= PACKET_ICMP;
}

/* At `at`; `left` bytes of it are in the packet. */
static __always_inline void transport_read(struct frame *ctx, struct packet *p, u32 at, u32 left)
{
	u32 size = transport_size(p->protocol);
	struct tcp room;
	const void *header;

	if (!size)
		return;
	if (left < size) {
		malformed(p, p->more ? PACKET_TINY_FRAGMENT : PACKET_TRUNCATED);
		return;
	}
	if (p->protocol == IPPROTO_TCP) {
		header = frame_at(ctx, at, sizeof(struct tcp), &room);
		if (header)
			tcp_read(p, header, left);
		else
			malformed(p, PACKET_TRUNCATED);
		return;
	}
	header = frame_at(ctx, at, sizeof(struct udp), &room);
	if (!header) {
		malformed(p, PACKET_TRUNCATED);
	} else if (p->protocol == IPPROTO_UDP) {
		udp_read(p, header, left);
	} else if (p->kinds & PACKET_ICMP) {
		const struct icmp *icmp = header;

		p->has_type = true;
		p->type = icmp->type;
		p->code = icmp->code;
	} else if (p->protocol != IPPROTO_ICMP && p->protocol != IPPROTO_ICMPV6) {
		const struct udp *ports = header;

		ports_read(p, ports->source, ports->dest);
	}
}

/* ---- fragments ---- */

/* `offset` in bytes; `left`: bytes of it in this packet. */
static __always_inline void fragment_read(struct packet *p, u32 offset, bool more, u32 left)
{
	p->kinds |= PACKET_FRAGMENT;
	p->form = offset ? PACKET_LATER_FRAGMENT : PACKET_FIRST_FRAGMENT;
	p->more = more && !offset;
	if (offset + left > 65535 || (more && (left & 7)) || !left)
		malformed(p, PACKET_CONTRADICTION);
	else if (offset && offset < 16 && p->protocol == IPPROTO_TCP)
		malformed(p, PACKET_TINY_FRAGMENT);
}

/* ---- addresses ---- */

static __always_inline bool source_is_wrong4(const struct packet *p)
{
	u32 source = bpf_ntohl(p->source[0]), dest = bpf_ntohl(p->dest[0]);

	if (source >> 28 == 14 || source == ~0u || source >> 24 == 127 || dest >> 24 == 127)
		return true;
	/* before a host has an address it asks for one by DHCP; switches ask for groups */
	return !(source >> 24) && p->protocol != IPPROTO_IGMP &&
	       !(p->has_ports && p->dest_port == 67);
}

static __always_inline bool is_mapped(const u32 *a)
{
	return !a[0] && !a[1] && a[2] == bpf_htonl(0xffff);
}

static __always_inline bool source_is_wrong6(const struct packet *p)
{
	const u32 *s = p->source, *d = p->dest;
	u32 one = bpf_htonl(1);

	if (*(u8 *)s == 0xff || is_mapped(s) || is_mapped(d))
		return true;
	if (!d[0] && !d[1] && !d[2] && d[3] == one)
		return true;
	if (s[0] || s[1] || s[2])
		return false;
	/* `::` asks whether an address is free, and reports groups */
	return s[3] == one || (!s[3] && p->protocol != IPPROTO_ICMPV6);
}

static __always_inline void addresses_judge(struct packet *p)
{
	bool same = p->source[0] == p->dest[0];

	if (p->local || (p->kinds & PACKET_MALFORMED))
		return;
	if (p->family == 6)
		same = same && p->source[1] == p->dest[1] && p->source[2] == p->dest[2] &&
		       p->source[3] == p->dest[3];
	if (!p->hops)
		malformed(p, PACKET_CONTRADICTION);
	else if (same)
		malformed(p, PACKET_LAND);
	else if (p->family == 4 ? source_is_wrong4(p) : source_is_wrong6(p))
		malformed(p, PACKET_BAD_SOURCE);
}

/* ---- IP ---- */

/* Is the frame, of which `left` bytes are seen, too short for `size` more? */
static __always_inline bool is_cut(struct frame *ctx, struct packet *p, u32 size, u32 left)
{
	u32 whole;

	if (size <= left)
		return false;
	whole = frame_size(ctx);
	left += whole - p->size;
	p->size = whole;
	return size > left;
}

/* At `at`; the frame has `frame_left` bytes from there on. */
static __always_inline void ipv4_read(struct frame *ctx, struct packet *p, u32 at, u32 frame_left)
{
	struct ipv4 room;
	const struct ipv4 *ip = frame_at(ctx, at, sizeof(*ip), &room);
	u32 words, size, fragment;

	if (!ip) {
		malformed(p, PACKET_TRUNCATED);
		return;
	}
	words = ip->version_words & 15;
	size = bpf_ntohs(ip->size);
	if (!size && frame_left > 65535) /* put together by the driver */
		size = frame_left;
	if (ip->version_words >> 4 != 4 || words < 5 || size < words * 4) {
		malformed(p, PACKET_CONTRADICTION);
		return;
	}
	p->family = 4;
	p->protocol = ip->protocol;
	p->hops = ip->hops;
	p->source[0] = ip->source;
	p->dest[0] = ip->dest;
	p->plain = words == 5;
	transport_kind(p);
	fragment = bpf_ntohs(ip->fragment);
	if (is_cut(ctx, p, size, frame_left)) {
		malformed(p, PACKET_TRUNCATED);
		return;
	}
	at += words * 4;
	size -= words * 4;
	if (fragment & (IP_MORE | IP_OFFSET))
		fragment_read(p, (fragment & IP_OFFSET) * 8, fragment & IP_MORE, size);
	if (!(fragment & IP_OFFSET))
		transport_read(ctx, p, at, size);
}

static __always_inline u32 extension_size(u8 protocol, u8 words)
{
	if (protocol == IPV6_FRAGMENT)
		return 8;
	return protocol == IPPROTO_AH ? (words + 2) * 4 : (words + 1) * 8;
}

/* Of the headers between IPv6 and what it carries. */
struct chain {
	u32 at;
	u32 left;
	u32 nth;
};

static __always_inline bool is_extension(u8 protocol)
{
	return is_ipv6_extension(protocol) || protocol == IPPROTO_AH;
}

/* One header; false: nothing behind it can be read. */
static __always_inline bool extension_read(struct frame *ctx, struct packet *p, struct chain *c)
{
	const struct ipv6_extension *header = NULL;
	struct ipv6_extension room;
	u8 protocol = p->protocol;
	u32 size, offset;

	if (c->left >= sizeof(*header))
		header = frame_at(ctx, c->at, sizeof(*header), &room);
	if (!header) {
		malformed(p, p->more ? PACKET_TINY_FRAGMENT : PACKET_TRUNCATED);
		return false;
	}
	size = extension_size(protocol, header->words);
	p->protocol = header->next;
	if (size > c->left || (protocol == IPV6_HOP && c->nth) ||
	    (protocol == IPV6_FRAGMENT && (p->kinds & PACKET_FRAGMENT)) ||
	    (protocol == IPV6_ROUTING && !header->kind && header->left)) {
		malformed(p, PACKET_CONTRADICTION);
		return false;
	}
	offset = bpf_ntohs(header->offset);
	c->at += size;
	c->left -= size;
	if (protocol == IPV6_FRAGMENT && (offset & ~6)) {
		fragment_read(p, offset & ~7, offset & 1, c->left);
		return !(offset & ~7);
	}
	return true;
}

static __always_inline void ipv6_read(struct frame *ctx, struct packet *p, u32 at, u32 frame_left)
{
	struct ipv6 room;
	const struct ipv6 *ip = frame_at(ctx, at, sizeof(*ip), &room);
	struct chain c = { .at = at + sizeof(*ip) };

	if (!ip) {
		malformed(p, PACKET_TRUNCATED);
		return;
	}
	if (*(const u8 *)ip >> 4 != 6) {
		malformed(p, PACKET_CONTRADICTION);
		return;
	}
	p->family = 6;
	p->protocol = ip->next;
	p->hops = ip->hops;
	__builtin_memcpy(p->source, ip->source, sizeof(p->source));
	__builtin_memcpy(p->dest, ip->dest, sizeof(p->dest));
	c.left = bpf_ntohs(ip->size);
	frame_left -= sizeof(*ip);
	if (!c.left && frame_left > 65535)
		c.left = frame_left;
	if (is_cut(ctx, p, c.left, frame_left)) {
		malformed(p, PACKET_TRUNCATED);
		return;
	}
	for (c.nth = 0; c.nth < PACKET_HEADERS && is_extension(p->protocol); c.nth++)
		if (!extension_read(ctx, p, &c))
			break;
	if (is_extension(p->protocol)) {
		if (p->form != PACKET_LATER_FRAGMENT && !(p->kinds & PACKET_MALFORMED))
			malformed(p, PACKET_TOO_MANY_HEADERS);
		return;
	}
	p->plain = !c.nth;
	transport_kind(p);
	if (p->form != PACKET_LATER_FRAGMENT && !(p->kinds & PACKET_MALFORMED))
		transport_read(ctx, p, c.at, c.left);
}

/* ---- the frame ---- */

static __always_inline bool is_tag(u16 type)
{
	return type == bpf_htons(ETH_VLAN) || type == bpf_htons(ETH_QINQ) ||
	       type == bpf_htons(ETH_QINQ_OLD);
}

/* Where packets are read to: the caller's, `nth` of them. */
static __always_inline struct packet *packet_space(u32 nth);

/* IPv6, `at` bytes into the frame. A function of its own: the verifier would follow its headers once for
 * each number of tags before it. */
__noinline int ipv6_parse(struct frame *ctx, u32 nth, u32 at, u32 left)
{
	struct packet *p = packet_space(nth);

	if (p && at < 256)
		ipv6_read(ctx, p, at, left);
	return 0;
}

/* What is behind the link's own headers. */
static __always_inline void network_read(struct frame *ctx, struct packet *p, u32 nth, u16 type,
					 u32 at, u32 left)
{
	p->network = at;
	if (type == bpf_htons(ETH_P_IP))
		ipv4_read(ctx, p, at, left);
	else if (type == bpf_htons(ETH_P_IPV6))
		ipv6_parse(ctx, nth, at, left);
	else
		p->form = PACKET_NOT_IP;
	if (p->family)
		addresses_judge(p);
}

/* `p` is packet_space(nth), zeroed but for what the guard knows: `ifindex`, `segments`, `out`, `size` (that can
 * be read). `tags` that aren't in the frame any more. */
static __always_inline void packet_read(struct frame *ctx, struct packet *p, u32 nth, u32 tags)
{
	struct ethernet room;
	const struct ethernet *ethernet = frame_at(ctx, 0, sizeof(*ethernet), &room);
	u32 at = sizeof(*ethernet);
	u16 type;

	p->local = p->ifindex == LOOPBACK_IFINDEX;
	if (!ethernet) {
		malformed(p, PACKET_TRUNCATED);
		return;
	}
	type = ethernet->type;
	_Pragma("unroll") for (int i = 0; i < PACKET_TAGS; i++)
	{
		struct vlan tag_room;
		const struct vlan *tag;

		if (!is_tag(type))
			break;
		tag = frame_at(ctx, at, sizeof(*tag), &tag_room);
		if (!tag) {
			malformed(p, PACKET_TRUNCATED);
			return;
		}
		type = tag->type;
		at += sizeof(*tag);
		tags++;
	}
	if (is_tag(type) || tags > PACKET_TAGS) {
		malformed(p, PACKET_TOO_MANY_TAGS);
		return;
	}
	network_read(ctx, p, nth, type, at, p->size - at);
}
