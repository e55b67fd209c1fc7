/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Numbers of the internet protocols, as packets and sockets have them.
 */
#pragma once

#define AF_INET       2
#define AF_INET6      10
#define IPPROTO_TCP   6
#define IPPROTO_UDP   17
#define IPPROTO_MPTCP 262
#define ETH_P_IP      0x0800
#define ETH_P_IPV6    0x86dd

enum { MSG_PEEK = 2 }; /* of recvmsg(2) */
enum { IPPROTO_DCCP = 33, IPPROTO_SCTP = 132, IPPROTO_UDPLITE = 136 };

/* The extension headers of IPv6 that may stand before one of these. */
enum { IPV6_HOP = 0, IPV6_ROUTING = 43, IPV6_FRAGMENT = 44, IPV6_OPTIONS = 60 };

static __always_inline bool is_ipv6_extension(u8 protocol)
{
	return protocol == IPV6_HOP || protocol == IPV6_ROUTING || protocol == IPV6_FRAGMENT ||
	       protocol == IPV6_OPTIONS;
}
