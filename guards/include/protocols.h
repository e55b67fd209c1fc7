/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Protocols of IP by their numbers, as events tell them. 0 is told by each guard as what it means there. */
#pragma once

#define IP_PROTOCOLS(X) \
	X(ICMP, 1)      \
	X(IGMP, 2)      \
	X(IPIP, 4)      \
	X(TCP, 6)       \
	X(UDP, 17)      \
	X(DCCP, 33)     \
	X(IPV6, 41)     \
	X(ROUTING, 43)  \
	X(FRAGMENT, 44) \
	X(GRE, 47)      \
	X(ESP, 50)      \
	X(AH, 51)       \
	X(ICMPV6, 58)   \
	X(NONE, 59)     \
	X(OPTIONS, 60)  \
	X(OSPF, 89)     \
	X(PIM, 103)     \
	X(VRRP, 112)    \
	X(SCTP, 132)    \
	X(UDPLITE, 136)
