/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * TCP sockets: only the fields used. Everything is read by address, so the accessors serve any
 * program type. States are those of <linux/bpf.h>: BPF_TCP_ESTABLISHED and so on.
 */
#pragma once

#include "kernel/fs.h"
#include "kernel/task.h"

#define AF_INET     2
#define AF_INET6    10
#define IPPROTO_TCP 6

enum socket_state { SS_FREE, SS_UNCONNECTED };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common___net {
	u32 inum;
};
struct net {
	struct ns_common___net ns;
};
struct in6_addr {
	u8 bytes[16];
};
struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_family;
	struct {
		struct net *net;
	} skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
};
struct sock {
	struct sock_common __sk_common;
	struct {
		int owned;
	} sk_lock;
	int sk_err;
	u16 sk_protocol;
};
struct inet_sock {
	u16 inet_sport;
};
struct minmax_sample {
	u32 t;
	u32 v;
};
struct minmax {
	struct minmax_sample s[3];
};
struct tcp_sock {
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 total_retrans;
	u32 srtt_us;
	struct minmax rtt_min;
};
struct socket {
	enum socket_state state;
	struct sock *sk;
};

#pragma clang attribute pop

/* what connect(2) is given, as far as it names a port and an address */
struct sockaddr_any {
	u16 family;
	u16 port;
	union {
		u32 v4;
		struct {
			u32 flow;
			u8 v6[16];
		};
	};
};

enum sock_flags { SOCK_DONE = 1 }; /* the peer's FIN has come */

static __always_inline bool sock_is_tcp(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* Does a thread hold the socket, so that the current task is a user of it and not a bystander that
 * was interrupted for a packet or a timer? */
static __always_inline bool sock_is_owned(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_lock.owned);
}

static __always_inline u32 sock_netns(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline u16 sock_local_port(const struct sock *sk)
{
	return bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
}

static __always_inline u16 sock_peer_port(const struct sock *sk)
{
	return bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* IPv4 in IPv6 is shown as the IPv4 that it is. */
static __always_inline void ip_from_v6(struct ip *ip, const u8 v6[16])
{
	const u32 *words = (const u32 *)v6;

	if (!words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
		ip->family = AF_INET;
		__builtin_memcpy(ip->bytes, v6 + 12, 4);
	} else {
		ip->family = AF_INET6;
		__builtin_memcpy(ip->bytes, v6, 16);
	}
}

/* Addresses of both ends. */
static __noinline int sock_addresses(const struct sock *sk, struct ip *local, struct ip *peer)
{
	u32 words[4] = {};

	if (!local || !peer)
		return 0;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)words, sk, __sk_common.skc_v6_rcv_saddr);
		ip_from_v6(local, (u8 *)words);
		BPF_CORE_READ_INTO((struct in6_addr *)words, sk, __sk_common.skc_v6_daddr);
		ip_from_v6(peer, (u8 *)words);
		if (peer->family == AF_INET6)
			return 0;
		__builtin_memset(local, 0, sizeof(*local));
	} else {
		peer->family = AF_INET;
		BPF_CORE_READ_INTO((u32 *)peer->bytes, sk, __sk_common.skc_daddr);
	}
	local->family = AF_INET;
	BPF_CORE_READ_INTO((u32 *)local->bytes, sk, __sk_common.skc_rcv_saddr);
	return 0;
}

/* Bytes handed to the network, each counted once however often it was sent. */
static __always_inline u64 tcp_sent_bytes(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	return BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
}

/* Bytes received in order. The kernel counts the peer's FIN as one, this doesn't. */
static __always_inline u64 tcp_received_bytes(const struct sock *sk)
{
	u64 bytes = BPF_CORE_READ((const struct tcp_sock *)sk, bytes_received);
	unsigned long flags = BPF_CORE_READ(sk, __sk_common.skc_flags);

	if (bytes && flags & (1u << bpf_core_enum_value(enum sock_flags, SOCK_DONE)))
		bytes--;
	return bytes;
}

/* Segments sent again, the SYN among them. */
static __always_inline u32 tcp_retransmits(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, total_retrans);
}

/* Smoothed round-trip time; kept by the kernel in units of 1/8 us. */
static __always_inline u32 tcp_rtt_us(const struct sock *sk)
{
	return BPF_CORE_READ((const struct tcp_sock *)sk, srtt_us) >> 3;
}

/* Least round-trip time of late; 0 where none was measured. */
static __always_inline u32 tcp_min_rtt_us(const struct sock *sk)
{
	u32 us = BPF_CORE_READ((const struct tcp_sock *)sk, rtt_min.s[0].v);

	return us == ~0u ? 0 : us;
}

/* The TCP socket behind a descriptor of the current task, with its struct socket; NULL: it has none. */
static __always_inline struct sock *sock_of_fd(u32 fd, struct socket **ret_socket)
{
	struct task_struct *task = current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;
	struct socket *socket;
	struct sock *sk;

	if (fd >= BPF_CORE_READ(task, files, fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file || inode_type(BPF_CORE_READ(file, f_inode)) != FILE_TYPE_SOCKET)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || !sock_is_tcp(sk))
		return NULL;
	*ret_socket = socket;
	return sk;
}
