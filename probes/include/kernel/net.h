/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Sockets of any protocol, as far as the probes on messages need them: only the fields used. The
 * flavour keeps them apart from the fuller declarations for TCP.
 */
#pragma once

#include "kernel/inet.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock_common___net {
	struct {
		s64 counter;
	} skc_cookie;
};
struct sock___net {
	struct sock_common___net __sk_common;
	struct {
		int owned;
	} sk_lock;
	int sk_err;
};
struct tcp_sock___net {
	u32 copied_seq;
};
struct socket___net {
	struct sock___net *sk;
};

#pragma clang attribute pop

/* The cookie that bpf_get_socket_cookie() gave the socket; 0: nobody has asked for one yet.
 * (That helper takes a socket in tracing programs only since 5.12.) */
static __always_inline u64 sock_cookie(const struct sock___net *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/* Is a thread working on the socket now, so that the current task is a user of it? The address may
 * come from __sk_buff::sk, by way of memory: pointers to sockets have no arithmetic. */
static __always_inline bool sock_owned(const struct sock___net *sk)
{
	return BPF_CORE_READ(sk, sk_lock.owned);
}

/* An errno, positive; 0: none. */
static __always_inline int sock_error(const struct sock___net *sk)
{
	return BPF_CORE_READ(sk, sk_err);
}

/* TCP: sequence number behind the last byte that was read. */
static __always_inline u32 sock_copied_seq(const struct sock___net *sk)
{
	return BPF_CORE_READ((const struct tcp_sock___net *)sk, copied_seq);
}
