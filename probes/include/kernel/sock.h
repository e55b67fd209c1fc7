/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * TCP and UDP sockets: only the fields used. Everything is read by address, so the accessors serve
 * any program type. States are those of <linux/bpf.h>: BPF_TCP_ESTABLISHED and so on.
 */
#pragma once

#include "kernel/fs.h"
#include "kernel/inet.h"
#include "kernel/task.h"

enum socket_state { SS_FREE, SS_UNCONNECTED };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common___net {
	u32 inum;
};
struct net___ns { /* a probe is called net */
	struct ns_common___net ns;
};
struct in6_addr {
	u8 bytes[16];
};
struct sock_counter { /* atomic_t */
	int counter;
};
struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_family;
	unsigned char skc_state;
	struct {
		struct net___ns *net;
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
	struct {
		struct sock_counter rmem_alloc;
	} sk_backlog;
	struct sock_counter sk_wmem_alloc;
	struct sock_counter sk_drops;
	int sk_rcvbuf;
	int sk_err;
	u16 sk_protocol;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
};
struct inet_sock {
	u16 inet_sport;
};
struct inet_connection_sock {
	struct {
		struct sock_counter qlen;
	} icsk_accept_queue;
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
	u32 write_seq;
	u32 snd_una;
	u32 rcv_nxt;
	u32 copied_seq;
	u32 snd_cwnd;
	u32 srtt_us;
	struct minmax rtt_min;
};
struct socket {
	enum socket_state state;
	struct sock *sk;
};
struct mptcp_sock {
	struct sock *first; /* of the TCP connections that carry it */
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

/* A member of a struct at an address, a direct load where the kernel allows it. */
#define sock_read(T, addr, member) \
	(DIRECT ? direct(struct T, addr)->member : BPF_CORE_READ((const struct T *)(addr), member))

enum sock_flags { SOCK_DONE = 1 }; /* the peer's FIN has come */

static __always_inline bool sock_is_tcp(const struct sock *sk)
{
	return sock_read(sock, sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline bool sock_is_udp(const struct sock *sk)
{
	return sock_read(sock, sk, sk_protocol) == IPPROTO_UDP;
}

/* BPF_TCP_LISTEN ... */
static __always_inline u32 sock_state(const struct sock *sk)
{
	return sock_read(sock, sk, __sk_common.skc_state);
}

/* Does a thread hold the socket, so that the current task is a user of it and not a bystander that
 * was interrupted for a packet or a timer? */
static __always_inline bool sock_is_owned(const struct sock *sk)
{
	return sock_read(sock, sk, sk_lock.owned);
}

static __always_inline u32 sock_netns(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline u16 sock_local_port(const struct sock *sk)
{
	return bpf_ntohs(sock_read(inet_sock, sk, inet_sport));
}

static __always_inline u16 sock_peer_port(const struct sock *sk)
{
	return bpf_ntohs(sock_read(sock, sk, __sk_common.skc_dport));
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
	return sock_read(tcp_sock, sk, bytes_sent) - sock_read(tcp_sock, sk, bytes_retrans);
}

/* Bytes received in order. The kernel counts the peer's FIN as one, this doesn't. */
static __always_inline u64 tcp_received_bytes(const struct sock *sk)
{
	u64 bytes = sock_read(tcp_sock, sk, bytes_received);
	unsigned long flags = sock_read(sock, sk, __sk_common.skc_flags);

	if (bytes && flags & (1u << bpf_core_enum_value(enum sock_flags, SOCK_DONE)))
		bytes--;
	return bytes;
}

/* Segments sent again, the SYN among them. */
static __always_inline u32 tcp_retransmits(const struct sock *sk)
{
	return sock_read(tcp_sock, sk, total_retrans);
}

/* Smoothed round-trip time; kept by the kernel in units of 1/8 us. */
static __always_inline u32 tcp_rtt_us(const struct sock *sk)
{
	return sock_read(tcp_sock, sk, srtt_us) >> 3;
}

/* Least round-trip time of late; 0 where none was measured. */
static __always_inline u32 tcp_min_rtt_us(const struct sock *sk)
{
	u32 us = sock_read(tcp_sock, sk, rtt_min.s[0].v);

	return us == ~0u ? 0 : us;
}

/* Payload that the process has written and the other end has not acknowledged. */
static __always_inline u32 tcp_unacked_bytes(const struct sock *sk)
{
	return sock_read(tcp_sock, sk, write_seq) - sock_read(tcp_sock, sk, snd_una);
}

/* Payload that has come and the process has not read. */
static __always_inline u32 tcp_unread_bytes(const struct sock *sk)
{
	u32 bytes = sock_read(tcp_sock, sk, rcv_nxt) - sock_read(tcp_sock, sk, copied_seq);

	return bytes && sock_read(sock, sk, __sk_common.skc_flags) &
				       (1u << bpf_core_enum_value(enum sock_flags, SOCK_DONE))
		       ? bytes - 1
		       : bytes;
}

/* Of a listening socket: connections that wait for accept(2), how many may, and those still in the
 * handshake. One more than `most` may wait. */
static __always_inline u32 listen_queue(const struct sock *sk)
{
	return sock_read(sock, sk, sk_ack_backlog);
}

static __always_inline u32 listen_most(const struct sock *sk)
{
	return sock_read(sock, sk, sk_max_ack_backlog);
}

static __always_inline u32 listen_syn_queue(const struct sock *sk)
{
	return sock_read(inet_connection_sock, sk, icsk_accept_queue.qlen.counter);
}

/* Segments that a listening socket had no room for. */
static __always_inline u32 listen_drops(const struct sock *sk)
{
	return sock_read(sock, sk, sk_drops.counter);
}

/* Of an MPTCP socket the first TCP connection, which has the addresses and the counts; there may be
 * none yet. Of others the socket itself. */
static __always_inline struct sock *sock_carrier(struct sock *sk)
{
	const struct mptcp_sock *mptcp = (const struct mptcp_sock *)sk;

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP)
		return sk;
	return bpf_core_field_exists(mptcp->first) ? BPF_CORE_READ(mptcp, first) : NULL;
}

/* The socket behind an open file, with its struct socket; NULL: it is none. */
static __always_inline struct sock *file_sock(struct file *file, struct socket **ret_socket)
{
	if (!file || inode_type(BPF_CORE_READ(file, f_inode)) != FILE_TYPE_SOCKET)
		return NULL;
	*ret_socket = BPF_CORE_READ(file, private_data);
	return sock_carrier(BPF_CORE_READ(*ret_socket, sk));
}

/* The TCP socket behind a descriptor of the current task, with its struct socket; NULL: it has none. */
static __always_inline struct sock *sock_of_fd(u32 fd, struct socket **ret_socket)
{
	struct task_struct *task = current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = NULL;
	struct sock *sk;

	if (fd >= BPF_CORE_READ(task, files, fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	sk = file_sock(file, ret_socket);
	return sk && sock_is_tcp(sk) ? sk : NULL;
}
