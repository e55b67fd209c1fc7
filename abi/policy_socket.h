/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the guard of sockets and the user side share. A verdict is an AND of sets of rules: those about
 * the operation, those that the address, port and protocol fulfil (the tables of abi/packet.h, of which
 * it uses PACKET_TO and PACKET_PORT), and those whose conditions the subject fulfils.
 */
#pragma once

#include <linux/types.h>

#include "abi/packet.h"
#include "abi/policy_subject.h"

/* As bits of enum policy_socket_operation of the user side, in that order. */
enum socket_operation {
	SOCKET_CONNECT, /* also without connect(2): fast open, packets of raw sockets */
	SOCKET_SEND,    /* without a connection */
	SOCKET_BIND,
	SOCKET_LISTEN,
	/* to make sockets of these sorts; those before have addresses */
	SOCKET_RAW, /* of IP */
	SOCKET_PACKET,
	SOCKET_XDP,
	SOCKET_ALG,
	SOCKET_VSOCK,
	SOCKET_NETLINK,
	SOCKET_BLUETOOTH,
	SOCKET_CAN,
	SOCKET_TIPC,
	SOCKET_RDS,
	SOCKET_OPERATIONS,
};
#define SOCKET_ADDRESSED SOCKET_RAW

/* "socket_rules": an array of two, by generation. */
struct socket_rules {
	struct subject_rules subjects;
	struct rule_set by_operation[SOCKET_OPERATIONS];
	__u64 serial;     /* of this filling: what was judged by another is judged again */
	__u32 operations; /* bits 1 << enum socket_operation: are there rules about it? */
	__u32 pad;
};

/* "socket_hooks": an array of one: where the guard stands besides the root cgroup, as words of the
 * strength ("lsm", "fmod_ret"), empty where it doesn't. */
struct socket_hooks {
	char makes[16];   /* sockets other than those of IP */
	char listens[16];
};

enum socket_mark_flag {
	SOCKET_IS_REFUSED = 1 << 0, /* to send there: its packets are dropped */
};

/* "socket_marks": what a socket was judged for last, kept with the socket. */
struct socket_mark {
	__u64 serial; /* 0: nothing yet */
	__u32 address[4];
	__u16 port;
	__u16 bound; /* the port that bind(2) asked for, once that was judged */
	__u32 flags; /* enum socket_mark_flag */
};
