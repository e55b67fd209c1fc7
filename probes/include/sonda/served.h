/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Ports that somebody listens at. A connection whose beginning was not seen is a server's when its own
 * port is one of them, else a client's.
 */
#pragma once

#include "kernel/sock.h"

struct served_key {
	u32 netns;
	u32 port;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct served_key);
	__type(value, u64); /* sockets that listen */
} served SEC(".maps");

static __always_inline u64 *served_at(const struct sock *sk, struct served_key *key)
{
	key->netns = sock_netns(sk);
	key->port = sock_local_port(sk);
	return bpf_map_lookup_elem(&served, key);
}

/* One more socket listens (`more` is 1), or one less (-1). */
static __noinline int served_count(const struct sock *sk, s64 more)
{
	struct served_key key = {};
	u64 *n = served_at(sk, &key), one = 1;

	if (n)
		__sync_fetch_and_add(n, more);
	else if (more > 0)
		bpf_map_update_elem(&served, &key, &one, BPF_ANY);
	if (n && !*(volatile u64 *)n)
		bpf_map_delete_elem(&served, &key);
	return 0;
}

/* Does somebody listen at the socket's own port? */
static __always_inline bool port_is_served(const struct sock *sk)
{
	struct served_key key = {};

	return served_at(sk, &key) != NULL;
}
