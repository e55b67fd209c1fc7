/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What net.tcp remembers: connections and listening sockets, connects underway, ports that are
 * listened at. Included behind the event and the tables.
 */
#pragma once

/* What a socket has counted itself. */
struct totals {
	u64 sent_bytes;
	u64 received_bytes;
	u64 retransmits;
	u64 listen_drops;
};

/* What a socket has, or is like, now. */
struct levels {
	u32 rtt_us;
	u32 unacked_bytes;
	u32 unread_bytes;
	bool of_known; /* they are in the row of its process, not of nobody */
	u8 pad[3];
};

struct connection {
	struct cause cause;
	u64 sk;
	struct totals told;   /* what of the socket's is in the tables, or was before us */
	struct levels levels; /* likewise */
	u64 since_ns;         /* the connect began; then: it was established */
	u64 ended_ns;         /* undecided: when */
	enum tcp_side side;
	bool already_open;
	bool established;
	bool undecided; /* a connect that ended without an error: who ended it will be known soon */
	bool listening;
	bool counted; /* among those open */
	bool untold;  /* it was open at the start, and that is still to be told */
	bool published;
	bool ended; /* and told; what may still come is a reset */
	u8 pad[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u64); /* struct sock */
	__type(value, struct connection);
} known SEC(".maps");

/* Where only the system call can be hooked: a connect(2) underway. */
struct attempt {
	u64 sk;
	struct sockaddr_any to;
	bool sent; /* a SYN, so the socket will say what became of it */
	u8 pad[3];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32); /* thread */
	__type(value, struct attempt);
} attempts SEC(".maps");

/* What is told of a connection, apart from what its socket knows. */
struct step {
	enum tcp_step step;
	enum tcp_end closed_by;
	enum tcp_outcome outcome;
	s32 err;
	u64 took_ns;
	struct ip local, peer; /* where there is no socket, or it doesn't have them */
	u32 local_port, peer_port;
	u32 reset_reason;
	u32 pad;
};

/* by errno; all others failed */
static const volatile u8 outcomes[128] = {
	[0] = TCP_OUTCOME_OK,
	[ECONNREFUSED] = TCP_OUTCOME_REFUSED,
	[ECONNRESET] = TCP_OUTCOME_RESET,
	[EPIPE] = TCP_OUTCOME_RESET,
	[ETIMEDOUT] = TCP_OUTCOME_TIMEOUT,
	[ENETUNREACH] = TCP_OUTCOME_UNREACHABLE,
	[EHOSTUNREACH] = TCP_OUTCOME_UNREACHABLE,
	[ENETDOWN] = TCP_OUTCOME_UNREACHABLE,
	[EHOSTDOWN] = TCP_OUTCOME_UNREACHABLE,
};

static __always_inline enum tcp_outcome outcome_of(int err)
{
	u32 at = -err;

	if (at >= sizeof(outcomes))
		return TCP_OUTCOME_FAILED;
	barrier_var(at); /* or the mask, which the verifier of 6.1 needs, is optimized away */
	return outcomes[at & (sizeof(outcomes) - 1)];
}

static __always_inline struct connection *connection_of(const struct sock *sk)
{
	u64 key = (u64)sk;

	return bpf_map_lookup_elem(&known, &key);
}

/* A new one, in the map at once: the stack has no room for it. NULL: there are too many. */
static __noinline struct connection *connection_new(u64 key)
{
	struct connection none = { .sk = key };

	if (bpf_map_update_elem(&known, &key, &none, BPF_ANY))
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&known, &key);
}

/* What was added since the last time; a total never goes down. */
static __always_inline u64 grown(u64 *told, u64 now)
{
	u64 before = *told;

	if ((s64)(now - before) <= 0)
		return 0;
	*told = now;
	return now - before;
}

static __always_inline bool has_grown(const struct totals *more)
{
	return more->sent_bytes || more->received_bytes || more->retransmits || more->listen_drops;
}

/* What the socket has counted since the last time. */
static __always_inline void totals_grown(struct connection *c, const struct sock *sk,
					 struct totals *more)
{
	if (c->listening) {
		more->listen_drops = grown(&c->told.listen_drops, listen_drops(sk));
		return;
	}
	more->sent_bytes = grown(&c->told.sent_bytes, tcp_sent_bytes(sk));
	more->received_bytes = grown(&c->told.received_bytes, tcp_received_bytes(sk));
	more->retransmits = grown(&c->told.retransmits, tcp_retransmits(sk));
}

/* One of which nothing has been seen so far. */
static __always_inline struct connection *connection_late(const struct sock *sk)
{
	struct connection *c = connection_new((u64)sk);
	struct totals before = {};

	if (!c)
		return NULL;
	c->already_open = true;
	cause_unknown(&c->cause);
	totals_grown(c, sk, &before);
	return c;
}
