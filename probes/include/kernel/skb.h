/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Packets as the kernel has them (struct sk_buff): only the fields used. Everything is read by address.
 */
#pragma once

#include "kernel/sock.h"

#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86dd

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
	unsigned char *head;
	u16 transport_header;
	u16 network_header;
	u16 protocol;
};

#pragma clang attribute pop

/* Where a packet goes and where it comes from. */
struct skb_ends {
	struct ip from, to;
	u16 from_port, to_port;
	u8 pad[4];
};

static __always_inline u16 skb_protocol(const struct sk_buff *skb)
{
	return bpf_ntohs(BPF_CORE_READ(skb, protocol));
}

/* The ends of a TCP or UDP packet whose headers the kernel has found. */
static __noinline int skb_ends(const struct sk_buff *skb, struct skb_ends *ends)
{
	unsigned char *head, *ip;
	u16 ports[2] = {};
	u32 words[4] = {};

	if (!skb || !ends)
		return 0;
	head = BPF_CORE_READ(skb, head);
	ip = head + BPF_CORE_READ(skb, network_header);
	bpf_probe_read_kernel(ports, sizeof(ports), head + BPF_CORE_READ(skb, transport_header));
	ends->from_port = bpf_ntohs(ports[0]);
	ends->to_port = bpf_ntohs(ports[1]);
	if (skb_protocol(skb) == ETH_P_IP) {
		ends->from.family = ends->to.family = AF_INET;
		bpf_probe_read_kernel(ends->from.bytes, 4, ip + 12);
		bpf_probe_read_kernel(ends->to.bytes, 4, ip + 16);
	} else {
		bpf_probe_read_kernel(words, sizeof(words), ip + 8);
		ip_from_v6(&ends->from, (u8 *)words);
		bpf_probe_read_kernel(words, sizeof(words), ip + 24);
		ip_from_v6(&ends->to, (u8 *)words);
	}
	return 0;
}
