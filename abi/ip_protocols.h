/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Protocols of IP by their numbers, as events tell them and rules name them. 0 is told by each guard as what it means there. */
#pragma once

#define IP_PROTOCOLS(X)           \
	X(ICMP, icmp, 1)          \
	X(IGMP, igmp, 2)          \
	X(IPIP, ipip, 4)          \
	X(TCP, tcp, 6)            \
	X(UDP, udp, 17)           \
	X(DCCP, dccp, 33)         \
	X(IPV6, ipv6, 41)         \
	X(ROUTING, routing, 43)   \
	X(FRAGMENT, fragment, 44) \
	X(GRE, gre, 47)           \
	X(ESP, esp, 50)           \
	X(AH, ah, 51)             \
	X(ICMPV6, icmpv6, 58)     \
	X(NONE, none, 59)         \
	X(OPTIONS, options, 60)   \
	X(OSPF, ospf, 89)         \
	X(PIM, pim, 103)          \
	X(VRRP, vrrp, 112)        \
	X(L2TP, l2tp, 115)        \
	X(SCTP, sctp, 132)        \
	X(UDPLITE, udplite, 136)
