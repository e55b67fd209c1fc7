/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Packets as the kernel has them (struct sk_buff): only the fields used. What a packet is, is found from
 * the IP header on, by address, wherever it was met: the kernel may not have looked at its other headers
 * yet, or have cut them off.
 */
#pragma once

#include "kernel/netdev.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	u16 queue_mapping;
	u16 protocol;
	u16 network_header;
	u16 mac_header;
	unsigned char *head;
	unsigned char *data;
};

#pragma clang attribute pop

#define EXTENSIONS_MAX 4

/* Where a packet goes and where it comes from. */
struct skb_ends {
	struct ip from, to;
	u16 from_port, to_port;
	u8 pad[4];
};
struct skb_flow {
	struct skb_ends ends; /* ports are 0 where the protocol has none, or in a later fragment */
	u8 protocol;          /* IP's number; 0: it is no IP */
	u8 pad[7];
};

static __always_inline u16 skb_protocol(const struct sk_buff *skb)
{
	return bpf_ntohs(BPF_CORE_READ(skb, protocol));
}

static __always_inline u32 skb_length(const struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, len);
}

/* Device that it came by or is to leave by; `name` is left as it is where there is none. */
static __always_inline void skb_device_name(const struct sk_buff *skb, char name[16])
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);

	if (dev)
		bpf_probe_read_kernel(name, 16, dev->name);
}

static __always_inline u32 skb_ifindex(const struct sk_buff *skb)
{
	return BPF_CORE_READ(skb, dev, ifindex);
}

/* Its network namespace: of the device, else of the socket; 0: neither. */
static __always_inline u32 skb_netns(const struct sk_buff *skb)
{
	struct net___ns *net = BPF_CORE_READ(skb, dev, nd_net.net);

	if (!net)
		net = BPF_CORE_READ(skb, sk, __sk_common.skc_net.net);
	return BPF_CORE_READ(net, ns.inum);
}

static __always_inline bool has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

/* Behind the extension headers of IPv6; returns NULL in a later fragment. */
static __always_inline unsigned char *skip_extensions(unsigned char *at, u8 *protocol)
{
	u8 header[4];

	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (!is_ipv6_extension(*protocol))
			break;
		if (bpf_probe_read_kernel(header, sizeof(header), at))
			return NULL;
		if (*protocol == IPV6_FRAGMENT && (header[2] || header[3] & 0xf8)) {
			*protocol = header[0];
			return NULL;
		}
		at += *protocol == IPV6_FRAGMENT ? 8 : (header[1] + 1) * 8;
		*protocol = header[0];
	}
	return at;
}

static __always_inline unsigned char *flow_of_ipv4(struct skb_flow *flow, unsigned char *ip)
{
	u8 header[20];

	if (bpf_probe_read_kernel(header, sizeof(header), ip))
		return NULL;
	flow->ends.from.family = flow->ends.to.family = AF_INET;
	__builtin_memcpy(flow->ends.from.bytes, header + 12, 4);
	__builtin_memcpy(flow->ends.to.bytes, header + 16, 4);
	flow->protocol = header[9];
	return header[6] & 0x1f || header[7] ? NULL : ip + (header[0] & 15) * 4;
}

static __always_inline unsigned char *flow_of_ipv6(struct skb_flow *flow, unsigned char *ip)
{
	u32 words[10];

	if (bpf_probe_read_kernel(words, sizeof(words), ip))
		return NULL;
	ip_from_v6(&flow->ends.from, (u8 *)&words[2]);
	ip_from_v6(&flow->ends.to, (u8 *)&words[6]);
	flow->protocol = ((u8 *)words)[6];
	return skip_extensions(ip + 40, &flow->protocol);
}

/* Fills a zeroed flow. */
static __noinline int skb_flow(const struct sk_buff *skb, struct skb_flow *flow)
{
	u16 ports[2] = {}, ethertype;
	unsigned char *at;

	if (!skb || !flow)
		return 0;
	ethertype = skb_protocol(skb);
	at = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	if (ethertype == ETH_P_IP)
		at = flow_of_ipv4(flow, at);
	else if (ethertype == ETH_P_IPV6)
		at = flow_of_ipv6(flow, at);
	else
		return 0;
	if (!at || !has_ports(flow->protocol) || bpf_probe_read_kernel(ports, sizeof(ports), at))
		return 0;
	flow->ends.from_port = bpf_ntohs(ports[0]);
	flow->ends.to_port = bpf_ntohs(ports[1]);
	return 0;
}

/* --- of a typed pointer, as tp_btf programs are given --- */

/* The queue that a packet was received by, as far as its driver says; else 0. */
static __always_inline u32 skb_rx_queue(const struct sk_buff *skb)
{
	return skb->queue_mapping ? skb->queue_mapping - 1 : 0;
}

/* With the link's header, which lies before the data when a packet was received. */
static __always_inline u32 skb_rx_bytes(const struct sk_buff *skb)
{
	u64 header = (u64)skb->data - (u64)skb->head;

	barrier_var(header); /* or it is worked out in 32 bits, which pointers may not be */
	return skb->len + header - skb->mac_header;
}
