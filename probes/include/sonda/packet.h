/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Packets as cgroup_skb programs see them, beginning with the IP header. Such a program runs for
 * every packet of every socket: ask packet_ports() first and leave at once when it is not yours.
 */
#pragma once

#include "kernel/inet.h"

enum { TCP_SYN = 0x02, TCP_ACK = 0x10 };

struct packet {
	u32 l4; /* where the TCP or UDP header begins */
	u8 version;
	u8 protocol;
	u16 source, dest; /* ports */
	/* filled by packet_payload() */
	u32 payload, end;
	u32 seq; /* TCP: of the first byte of payload */
	u8 tcp_flags;
};

#define PACKET_EXTENSIONS 8

/* Behind the extension headers of IPv6; `p->protocol` names the first. */
static __noinline int packet_skip_extensions(struct __sk_buff *skb, struct packet *p)
{
	u8 header[2];

	if (!p)
		return 0;
	for (int i = 0; i < PACKET_EXTENSIONS; i++) {
		if (!is_ipv6_extension(p->protocol))
			break;
		if (bpf_skb_load_bytes(skb, p->l4, header, sizeof(header)))
			break;
		p->l4 += p->protocol == IPV6_FRAGMENT ? 8 : (header[1] + 1) * 8;
		p->protocol = header[0];
	}
	return 0;
}

/* Is it TCP or UDP? Then finds its ports. */
static __always_inline bool packet_ports(struct __sk_buff *skb, struct packet *p)
{
	u8 *ip = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u8 *ports;

	if (ip + 28 > end)
		return false;
	p->version = ip[0] >> 4;
	if (p->version == 4) {
		p->protocol = ip[9];
		p->l4 = (ip[0] & 15) * 4;
	} else {
		p->protocol = ip[6];
		p->l4 = 40;
		if (p->protocol != IPPROTO_UDP && p->protocol != IPPROTO_TCP)
			packet_skip_extensions(skb, p);
	}
	if (p->protocol != IPPROTO_UDP && p->protocol != IPPROTO_TCP)
		return false;
	ip = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	ports = ip + (p->l4 & 0x3fff);
	if (ports + 4 > end)
		return false;
	p->source = ports[0] << 8 | ports[1];
	p->dest = ports[2] << 8 | ports[3];
	return true;
}

/* Finds the payload, which may be empty. False: it is malformed, or not a first fragment. */
static __noinline int packet_payload(struct __sk_buff *skb, struct packet *p)
{
	u8 header[20];
	u16 fragment;
	u32 size;

	if (!p)
		return false;
	if (p->version == 4 && (bpf_skb_load_bytes(skb, 6, &fragment, sizeof(fragment)) ||
				(fragment & bpf_htons(0x1fff))))
		return false;
	p->end = skb->len;
	if (p->protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, p->l4, header, 8))
			return false;
		p->payload = p->l4 + 8;
		size = header[4] << 8 | header[5];
		if (size >= 8 && p->l4 + size < p->end)
			p->end = p->l4 + size;
		return true;
	}
	if (bpf_skb_load_bytes(skb, p->l4, header, sizeof(header)))
		return false;
	p->payload = p->l4 + (header[12] >> 4) * 4;
	p->tcp_flags = header[13];
	p->seq = (u32)header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7];
	if (p->tcp_flags & TCP_SYN)
		p->seq++;
	return p->payload <= p->end;
}

static __noinline int packet_address(struct __sk_buff *skb, u8 version, bool dest, struct ip *out)
{
	if (!out)
		return 0;
	if (version == 4) {
		out->family = AF_INET;
		return bpf_skb_load_bytes(skb, dest ? 16 : 12, out->bytes, 4);
	}
	out->family = AF_INET6;
	return bpf_skb_load_bytes(skb, dest ? 24 : 8, out->bytes, 16);
}

static __always_inline bool ip_is_multicast(const struct ip *ip)
{
	return ip->family == AF_INET ? ip->bytes[0] >> 4 == 14 : ip->bytes[0] == 0xff;
}

/* The address that the packet's socket is connected to. */
static __noinline int socket_remote(struct __sk_buff *skb, u8 version, struct ip *out)
{
	u32 *words;

	if (!out)
		return 0;
	words = (u32 *)out->bytes;
	if (version == 4) {
		out->family = AF_INET;
		words[0] = skb->remote_ip4;
		return 0;
	}
	out->family = AF_INET6;
	words[0] = skb->remote_ip6[0];
	words[1] = skb->remote_ip6[1];
	words[2] = skb->remote_ip6[2];
	words[3] = skb->remote_ip6[3];
	return 0;
}
