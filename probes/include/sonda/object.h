/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a descriptor or an address is, as a text:
 *
 *	text_file(e, object, file)	a struct file *: its path, or what the socket is
 *
 *	/var/log/syslog		pipe:[4026]		anon_inode:[eventpoll]
 *	tcp 10.0.0.5:4242->192.0.2.7:443		tcp 0.0.0.0:80 (it listens)	udp [::1]:53
 *	unix /run/docker.sock	unix @abstract		unix (it has no name)		socket:[77]
 */
#pragma once

#include "kernel/unix.h"
#include "sonda/path.h"

/* --- appending to the slot's tail --- */

static __always_inline void put_char(struct event_slot *slot, char c)
{
	u32 at = *(volatile u32 *)&slot->tail;

	barrier_var(at);
	if (at >= EVENT_MAX)
		return;
	slot->body[at] = c;
	slot->tail = at + 1;
}

/* Up to eight characters. */
static __always_inline void put_word(struct event_slot *slot, u64 word)
{
	for (int i = 0; i < 8; i++) {
		if (!(word & 0xff))
			break;
		put_char(slot, word & 0xff);
		word >>= 8;
	}
}
#define WORD(a, b, c, d, e) \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32)

/* The number to the base 10 or 16, up to 65535; global: it has many ways through. */
__noinline int put_number(u32 index, u32 n, u32 base)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	u32 unit = base == 16 ? 0x1000 : 10000, digit;
	bool begun = false;

	if (!slot)
		return -EINVAL;
	for (int i = 0; i < 5; i++) {
		digit = n / unit;
		n -= digit * unit;
		begun = begun || digit || unit == 1;
		if (begun)
			put_char(slot, digit < 10 ? '0' + digit : 'a' - 10 + digit);
		if (unit == 1)
			break;
		unit /= base == 16 ? 16 : 10;
	}
	return 0;
}

/* The word, the `nth` of eight from the left, of an IPv6 address in two halves. */
static __always_inline u32 word_of_v6(u64 high, u64 low, u32 nth)
{
	return ((nth < 4 ? high : low) >> (48 - 16 * (nth & 3))) & 0xffff;
}

/* Where its longest run of zeros begins (8: there is none of two), and how long it is. */
static __always_inline u32 zeros_of_v6(u64 high, u64 low, u32 *ret_len)
{
	u32 best = 8, best_len = 1, len = 0;

	for (u32 i = 0; i < 8; i++) {
		len = word_of_v6(high, low, i) ? 0 : len + 1;
		if (len > best_len) {
			best_len = len;
			best = i + 1 - len;
		}
	}
	*ret_len = best_len;
	return best;
}

/* "[2001:db8::1]:", as RFC 5952 has it; the halves in the machine's order. */
__noinline int put_v6(u32 index, u64 high, u64 low)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	u32 zeros_len, zeros = zeros_of_v6(high, low, &zeros_len);

	if (!slot)
		return -EINVAL;
	put_char(slot, '[');
	for (u32 i = 0; i < 8; i++) {
		if (i == zeros) {
			put_char(slot, ':');
			if (zeros + zeros_len == 8)
				put_char(slot, ':');
		}
		if (i >= zeros && i < zeros + zeros_len)
			continue;
		if (i)
			put_char(slot, ':');
		put_number(index, word_of_v6(high, low, i), 16);
	}
	put_char(slot, ']');
	put_char(slot, ':');
	return 0;
}

/* "10.0.0.5:4242" */
static __noinline int put_end(struct event_slot *slot, const struct ip *ip, u32 port)
{
	if (!slot || !ip)
		return -EINVAL;
	if (ip->family == AF_INET6) {
		put_v6(slot->index, bpf_be64_to_cpu(*(u64 *)ip->bytes),
		       bpf_be64_to_cpu(*(u64 *)(ip->bytes + 8)));
	} else {
		for (int i = 0; i < 4; i++) {
			put_number(slot->index, ip->bytes[i], 10);
			put_char(slot, i < 3 ? '.' : ':');
		}
	}
	return put_number(slot->index, port, 10);
}

/* --- sockets --- */

/* An address that a call names, in user memory; at NULL: none. */
struct address {
	const void *at;
	u32 len;
	bool is_own; /* the socket's own to be; else the peer's */
};

static __always_inline void read_there(void *out, u32 size, const void *from, bool is_user)
{
	if (is_user)
		bpf_probe_read_user(out, size, from);
	else
		bpf_probe_read_kernel(out, size, from);
}

static __always_inline bool ip_from_user(struct ip *ip, u16 *ret_port, const void *address)
{
	struct sockaddr_any to = {};

	if (!address || bpf_probe_read_user(&to, sizeof(to), address))
		return false;
	*ret_port = bpf_ntohs(to.port);
	__builtin_memset(ip, 0, sizeof(*ip));
	if (to.family == AF_INET6) {
		ip_from_v6(ip, to.v6);
	} else if (to.family == AF_INET) {
		ip->family = AF_INET;
		__builtin_memcpy(ip->bytes, &to.v4, 4);
	}
	return ip->family;
}

/* "tcp 10.0.0.5:4242->192.0.2.7:443"; what is not bound or not connected is left out. */
static __noinline int put_inet(struct event_slot *slot, struct sock *sk, const struct address *of)
{
	u16 local_port = sock_local_port(sk), peer_port = sock_peer_port(sk);
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);
	struct ip local = {}, peer = {};

	if (!slot || !of)
		return -EINVAL;
	put_word(slot, protocol == IPPROTO_TCP   ? WORD('t', 'c', 'p', 0, 0)
		       : protocol == IPPROTO_UDP ? WORD('u', 'd', 'p', 0, 0)
						 : WORD('i', 'p', 0, 0, 0));
	sock_addresses(sk, &local, &peer);
	if (of->is_own)
		ip_from_user(&local, &local_port, of->at);
	else
		ip_from_user(&peer, &peer_port, of->at);
	if (local_port || peer_port)
		put_char(slot, ' ');
	if (local_port)
		put_end(slot, &local, local_port);
	if (!peer_port)
		return 0;
	put_char(slot, '-');
	put_char(slot, '>');
	return put_end(slot, &peer, peer_port);
}

/* "unix /run/docker.sock" */
static __noinline int put_unix(struct event_slot *slot, struct sock *sk, const struct address *of)
{
	struct unix_name_at name = {};
	char first = 0;
	u32 at, most;
	long n;

	if (!slot || !of)
		return -EINVAL;
	put_word(slot, WORD('u', 'n', 'i', 'x', 0));
	if (of->at)
		unix_name_of(&name, of->at, of->len);
	else
		unix_sock_name(sk, &name);
	if (!name.path)
		return 0;
	put_char(slot, ' ');
	read_there(&first, 1, name.path, of->at);
	if (!first)
		put_char(slot, '@');
	at = *(volatile u32 *)&slot->tail;
	most = name.len - UNIX_FAMILY_LEN + !!first;
	barrier_var(at);
	if (at >= EVENT_MAX || !most)
		return -E2BIG;
	barrier_var(most); /* one comparison of it as it is, not of most - 1 */
	if (most > UNIX_PATH_MAX)
		return -E2BIG;
	name.path += !first;
	n = of->at ? bpf_probe_read_user_str(&slot->body[at], most, name.path)
		   : bpf_probe_read_kernel_str(&slot->body[at], most, name.path);
	if (n > 1 && n <= UNIX_PATH_MAX)
		slot->tail = at + n - 1;
	return 0;
}

/* Of what family is the socket: one that is told here? */
static __always_inline bool sock_is_told(u16 family)
{
	return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

static __noinline int slot_socket(struct event_slot *slot, u32 field, struct sock *sk,
				  const struct address *of)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	u32 begin;

	if (!slot || !of)
		return -EINVAL;
	begin = *(volatile u32 *)&slot->tail;
	if (family == AF_UNIX)
		put_unix(slot, sk, of);
	else
		put_inet(slot, sk, of);
	return slot_text_end(slot, field, begin);
}

/* The socket behind an open file, or NULL. */
static __always_inline struct sock *sock_of_file(struct file *file)
{
	struct socket *socket;
	struct sock *sk;

	if (!file || inode_type(BPF_CORE_READ(file, f_inode)) != FILE_TYPE_SOCKET)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	return sk && sock_is_told(BPF_CORE_READ(sk, __sk_common.skc_family)) ? sk : NULL;
}

static __always_inline int slot_file(struct event_slot *slot, u32 field, struct file *file,
				     const struct address *of)
{
	struct sock *sk = sock_of_file(file);

	if (!slot || !file)
		return -EINVAL;
	if (sk)
		return slot_socket(slot, field, sk, of);
	return slot_path(slot, field, &file->f_path, false);
}

#define text_file(e, field, file)                                                  \
	slot_file(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), file, \
		  &(const struct address){})
