/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The options of connections that were answered with a cookie. The cookie has room for the segment size alone;
 * the others travel in the timestamp that the client sends back:
 *
 *	TIMED	as the stack does it: the lowest bits of the time. It reads them itself, if its timestamps are
 *		the plain time (net.ipv4.tcp_timestamps=2). With 1 it adds to the time what nobody else knows.
 *	SEALED	under a seal instead of a time; the client's ACK is met at TC, where the stack can be handed
 *		what it is to know (cookie_acks.h)
 *
 * Where neither is possible the connection has none, as it has without timestamps.
 */
#pragma once

#include "abi/packet.h"
#include "limit.h"
#include "packet.h"

enum {
	OPTION_END,
	OPTION_NOP,
	OPTION_SCALE = 3,
	OPTION_SACK = 4,
	OPTION_STAMP = 8,
	OPTIONS_READ = 20, /* more than a header has, but for those that fill it with the shortest */
	SCALE_NONE = 15,
	SCALE_MAX = 14,
	/* what is granted, as it lies in a timestamp: the client's scale, SACK, and under a seal our scale and the
	 * segment size, which nobody tells of a cookie */
	GRANTED_SACK = 1 << 4,
	GRANTED_SCALE_SHIFT = 5,
	GRANTED_SIZE_SHIFT = 9,
	TIMED_BITS = 6,
	SEALED_BITS = 12,
	SEGMENT_SIZES = 8,
	PLACE_MAX = 18, /* of the IP header, behind one VLAN tag: at TC it is taken off */
};

struct tcp_header { /* with room for what the verifier takes for its most */
	u32 words[15 + 6];
};

struct tcp_options {
	u32 stamp, echo;
	u8 has_stamp;
	u8 has_sack;
	u8 scale; /* SCALE_NONE: it has none */
};

/* The header that is read on this CPU, at XDP or TC, and what was found. */
struct tcp_reading {
	struct tcp_header header;
	struct tcp_options options;
	u32 at; /* how far */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tcp_reading);
} packet_reading SEC(".maps");

static __always_inline struct tcp_reading *reading_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&packet_reading, &zero);
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct packet_cookies);
} packet_cookies SEC(".maps");

static __always_inline const struct packet_cookies *cookies_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&packet_cookies, &zero);
}

static __always_inline u32 word_at(const u8 *at)
{
	return (u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static __always_inline void option_take(struct tcp_options *to, const u8 *bytes, u32 at, u32 kind,
					u32 size)
{
	if (kind == OPTION_STAMP && size == 10) {
		to->has_stamp = 1;
		to->stamp = word_at(bytes + ((at + 2) & 63));
		to->echo = word_at(bytes + ((at + 6) & 63));
	} else if (kind == OPTION_SACK && size == 2) {
		to->has_sack = 1;
	} else if (kind == OPTION_SCALE && size == 3) {
		u8 scale = bytes[(at + 2) & 63];

		to->scale = scale < SCALE_MAX ? scale : SCALE_MAX;
	}
}

/* The next option, of a header of `size` bytes; 0: there is none. Global: verified once. */
__noinline int option_next(u32 size)
{
	struct tcp_reading *r = reading_here();
	u32 at, kind, length;
	const u8 *bytes;

	if (!r)
		return 0;
	at = r->at;
	bytes = (const u8 *)r->header.words;
	kind = bytes[at & 63];
	length = kind == OPTION_NOP ? 1 : bytes[(at + 1) & 63];
	if (at >= size || kind == OPTION_END || !length || at + length > size)
		return 0;
	option_take(&r->options, bytes, at, kind, length);
	r->at = at + length;
	return 1;
}

/* Reads the header that was copied, of `size` bytes, 60 at most. */
static __always_inline void options_read(struct tcp_reading *r, u32 size)
{
	__builtin_memset(&r->options, 0, sizeof(r->options));
	r->options.scale = SCALE_NONE;
	r->at = sizeof(struct tcp);
	for (int i = 0; i < OPTIONS_READ; i++)
		if (!option_next(size))
			break;
}

/* ---- what this machine grants ---- */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct netns_ipv4___granting {
	u8 sysctl_tcp_timestamps, sysctl_tcp_sack, sysctl_tcp_window_scaling;
	int sysctl_tcp_rmem[3];
};
struct net___granting {
	struct netns_ipv4___granting ipv4;
};
struct sock_common___granting {
	struct {
		struct net___granting *net;
	} skc_net;
};
struct sock {
	struct sock_common___granting __sk_common;
	u8 sk_userlocks;
	int sk_rcvbuf;
};
struct tcp_sock___granting {
	u32 window_clamp;
	bool is_mptcp;
};

#pragma clang attribute pop

enum { RECEIVE_BUFFER_LOCKED = 2 };

/* A number of whatever size it has: before 5.13 those of TCP are in an int, later in a byte. */
#define number_read(from, member) ((u32)BPF_CORE_READ_BITFIELD(from, member))

/* The least by which a window of so many bytes fits into 16 bits. Without branches. */
static __always_inline u32 scale_for(u64 space)
{
	u32 bits;

	space |= space >> 1;
	space |= space >> 2;
	space |= space >> 4;
	space |= space >> 8;
	space |= space >> 16;
	bits = lowest_bit(space + 1);
	bits = bits < 16 ? 16 : bits;
	return bits - 16 > SCALE_MAX ? SCALE_MAX : bits - 16;
}

/* The scale of the window that the stack will use for the connection, or one below: what the client takes for
 * the window must not be more than there is. */
static __always_inline u32 scale_of(const struct packet_cookies *cookies,
				    const struct tcp_sock___granting *tcp,
				    const struct net___granting *net)
{
	const struct sock *sk = (const void *)tcp;
	u32 space = net->ipv4.sysctl_tcp_rmem[2], clamp = tcp->window_clamp;

	if (space < cookies->rmem_max)
		space = cookies->rmem_max;
	if (clamp && clamp < space)
		space = clamp;
	if (number_read(sk, sk_userlocks) & RECEIVE_BUFFER_LOCKED) {
		clamp = (u32)sk->sk_rcvbuf / 4; /* the least of it that a window takes */
		if (clamp < space)
			space = clamp;
	}
	return scale_for(space);
}

/* Those that the kernel's cookies stand for, by IPv4 and IPv6. */
const volatile u16 segment_sizes[SEGMENT_SIZES] = { 536, 1220, 1300, 1420, 1440, 1460, 8940, 65535 };

/* Which it is, or the next below. */
static __always_inline u32 segment_size_of(u32 bytes)
{
	u32 nth = 0;

	_Pragma("unroll") for (int i = 1; i < SEGMENT_SIZES; i++) nth +=
		((u64)segment_sizes[i] - bytes - 1) >> 63;
	return nth;
}

/* How the options can be kept, and with which bits. */
enum keeping { KEEP_NO_OPTIONS, KEEP_TIMED, KEEP_SEALED };
static __always_inline enum keeping keeping_of(const struct packet_cookies *cookies,
					       const struct packet *p,
					       const struct tcp_options *asked,
					       struct bpf_sock *listener, u32 *ret_granted)
{
	const struct tcp_sock___granting *tcp = (void *)bpf_skc_to_tcp_sock(listener);
	const struct sock *sk = (const void *)tcp;
	const struct net___granting *net;
	u32 stamps;

	if (!tcp || !asked->has_stamp)
		return KEEP_NO_OPTIONS;
	net = sk->__sk_common.skc_net.net;
	stamps = number_read(net, ipv4.sysctl_tcp_timestamps);
	*ret_granted = SCALE_NONE;
	if (asked->scale != SCALE_NONE && number_read(net, ipv4.sysctl_tcp_window_scaling))
		*ret_granted = asked->scale | scale_of(cookies, tcp, net) << GRANTED_SCALE_SHIFT;
	if (asked->has_sack && number_read(net, ipv4.sysctl_tcp_sack))
		*ret_granted |= GRANTED_SACK;
	if (stamps != 1)
		return stamps ? KEEP_TIMED : KEEP_NO_OPTIONS;
	if (!cookies->acks_are_met || p->network > PLACE_MAX ||
	    (bpf_core_field_exists(tcp->is_mptcp) && number_read(tcp, is_mptcp)))
		return KEEP_NO_OPTIONS;
	return KEEP_SEALED;
}

/* ---- the timestamp that carries them ---- */

/* The time, or shortly before: what comes later must not be older. */
static __always_inline u32 stamp_timed(u32 granted)
{
	u64 now_ms = bpf_ktime_get_ns() / 1000000;
	u64 stamp = (now_ms >> TIMED_BITS << TIMED_BITS) |
		    (granted & (GRANTED_SACK | SCALE_NONE)); /* the highest bit is of ECN */

	return stamp > now_ms ? stamp - (1 << TIMED_BITS) : stamp;
}

/* What keeps strangers out is the cookie, which the kernel makes and checks. The seal says that this machine's
 * guard answered, and not the stack, whose timestamps are another matter; and that nobody changed it. */
static __always_inline u32 stamp_sealed(const struct packet_cookies *cookies, const u32 *client,
					const u32 *server, u32 ports, u32 cookie, u32 granted)
{
	u64 sum = mixed(cookies->secret[0] ^ ((u64)cookie << 32 | granted));

	_Pragma("unroll") for (int i = 0; i < 4; i++) sum =
		(sum ^ ((u64)client[i] << 32 | server[i])) * 0x9fb21c651e98df25ull;
	return (u32)mixed(sum ^ cookies->secret[1] ^ ports) << SEALED_BITS | granted;
}
