/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The tables of net.tcp. What a socket counts itself (bytes, segments sent again) is taken over from
 * it once a second and when it closes: no packet costs anything.
 */
#pragma once

static __always_inline u32 server_port(const struct sock *sk, const struct connection *c,
				       const struct step *s)
{
	if (c->side == TCP_SIDE_CLIENT)
		return s->peer_port ? s->peer_port : sock_peer_port(sk);
	if (c->side == TCP_SIDE_SERVER)
		return sock_local_port(sk);
	return s->local_port;
}

static __noinline struct tcp_values *values_of(const struct sock *sk, const struct connection *c,
					       const struct step *s)
{
	struct tcp_labels key = {};
	struct ip local = {};

	if (!c || !s)
		return NULL;
	if (label(tcp, 0))
		__builtin_memcpy(key.comm, c->cause.task.comm, sizeof(key.comm));
	if (label(tcp, 1))
		key.side = c->side;
	if (label(tcp, 2))
		key.port = server_port(sk, c, s);
	if (label(tcp, 3)) {
		if (s->peer.family)
			key.peer = s->peer;
		else if (!c->listening)
			sock_addresses(sk, &local, &key.peer);
	}
	return row_of(tcp, &key);
}

static __noinline int count_step(const struct sock *sk, const struct connection *c,
				 const struct step *s)
{
	struct tcp_values *row;

	if (!c || !s || !table_wanted(tcp))
		return 0;
	row = values_of(sk, c, s);
	if (!row)
		return 0;
	if (s->step == TCP_STEP_CONNECT) {
		add(row->connects, s->outcome == TCP_OUTCOME_OK);
		add(row->failures, s->outcome != TCP_OUTCOME_OK);
		observe(row->connect_ns, s->took_ns);
	} else if (s->step == TCP_STEP_ACCEPT) {
		add(row->accepts, 1);
		observe(row->accept_ns, s->took_ns);
	} else if (s->step == TCP_STEP_CLOSE) {
		add(row->closes, 1);
		add(row->broken, s->outcome != TCP_OUTCOME_OK);
	} else if (s->step == TCP_STEP_RESET_SENT) {
		add(row->resets_sent, 1);
	} else if (s->step == TCP_STEP_RESET_RECEIVED) {
		add(row->resets_received, 1);
	}
	return 0;
}

/* Is the connection counted at all? */
static __always_inline bool is_counted(const struct connection *c)
{
	return tables_wanted() && !c->cause.ours && !c->cause.unwanted;
}

/* One more, or one less, among those open: as soon as its process is known. */
static __noinline int count_open(const struct sock *sk, struct connection *c, s64 more)
{
	struct step none = {};
	struct tcp_values *row;

	if (!c || c->listening || (c->ended && more > 0) || !c->cause.known || !is_counted(c) ||
	    !table_wanted(tcp))
		return 0;
	if (c->counted != (more < 0))
		return 0;
	row = values_of(sk, c, &none);
	if (row)
		add(row->open, more);
	c->counted = more > 0;
	return 0;
}

static __always_inline struct connection_values *
connection_row(const struct sock *sk, const struct connection *c, bool known)
{
	struct connection_labels key = {};

	if (known && label(connections, 0))
		__builtin_memcpy(key.comm, c->cause.task.comm, sizeof(key.comm));
	if (known && label(connections, 1))
		key.pid = c->cause.task.pid;
	if (label(connections, 2))
		key.local_port = sock_local_port(sk);
	sock_addresses(sk, &key.local, &key.peer);
	if (!label(connections, 3))
		__builtin_memset(&key.local, 0, sizeof(key.local));
	if (!label(connections, 4))
		__builtin_memset(&key.peer, 0, sizeof(key.peer));
	if (label(connections, 5))
		key.peer_port = sock_peer_port(sk);
	return row_of(connections, &key);
}

/* Does a row hold no other connection? Then it keeps the last round trip. */
static __always_inline bool connections_are_apart(void)
{
	return label(connections, 2) && label(connections, 4) && label(connections, 5);
}

/* A row may hold several connections: bytes add up, and the greatest round trip counts. It is the
 * greatest again when each has been looked at. */
static __always_inline int levels_put(struct connection_values *row, struct connection *c,
				      const struct levels *now)
{
	if (!row || !c || !now)
		return 0;
	add(row->unacked_bytes, (s64)now->unacked_bytes - c->levels.unacked_bytes);
	add(row->unread_bytes, (s64)now->unread_bytes - c->levels.unread_bytes);
	if (now->rtt_us > row->rtt_us || row->rtt_us == c->levels.rtt_us)
		set_gauge(row->rtt_us, now->rtt_us);
	c->levels = *now;
	return 0;
}

static __noinline int levels_take_back(const struct sock *sk, struct connection *c)
{
	struct levels none = {};

	if (!c || c->listening || !table_wanted(connections))
		return 0;
	if (connections_are_apart())
		none.rtt_us = c->levels.rtt_us;
	if (c->levels.unacked_bytes || c->levels.unread_bytes || c->levels.rtt_us != none.rtt_us)
		levels_put(connection_row(sk, c, c->levels.of_known), c, &none);
	return 0;
}

static __noinline int publish_connection(const struct sock *sk, struct connection *c,
					 const struct totals *more)
{
	struct connection_values *row;
	struct levels now = {};

	if (!c || !more || c->listening)
		return 0;
	now.rtt_us = tcp_rtt_us(sk);
	now.unacked_bytes = tcp_unacked_bytes(sk);
	now.unread_bytes = tcp_unread_bytes(sk);
	now.of_known = c->cause.known;
	if (c->published && !has_grown(more) && now.rtt_us == c->levels.rtt_us &&
	    now.unacked_bytes == c->levels.unacked_bytes &&
	    now.unread_bytes == c->levels.unread_bytes)
		return 0;
	row = connection_row(sk, c, c->cause.known);
	if (!row)
		return 0;
	add(row->sent_bytes, more->sent_bytes);
	add(row->received_bytes, more->received_bytes);
	add(row->retransmits, more->retransmits);
	return levels_put(row, c, &now);
}

static __noinline int publish_values(const struct sock *sk, const struct connection *c,
				     const struct totals *more)
{
	struct step none = {};
	struct tcp_values *row;
	u32 rtt_us;

	if (!c || !more)
		return 0;
	row = values_of(sk, c, &none);
	if (!row)
		return 0;
	add(row->sent_bytes, more->sent_bytes);
	add(row->received_bytes, more->received_bytes);
	add(row->retransmits, more->retransmits);
	add(row->listen_drops, more->listen_drops);
	rtt_us = tcp_rtt_us(sk);
	if (rtt_us && !c->listening)
		observe(row->rtt_us, rtt_us);
	return 0;
}

static __noinline int publish(const struct sock *sk, struct connection *c)
{
	struct totals more = {};

	if (!c || !is_counted(c))
		return 0;
	totals_grown(c, sk, &more);
	if (table_wanted(tcp) && (!c->published || has_grown(&more)))
		publish_values(sk, c, &more);
	if (c->cause.known != c->levels.of_known)
		levels_take_back(sk, c);
	if (table_wanted(connections))
		publish_connection(sk, c, &more);
	c->published = true;
	return 0;
}

static __always_inline int publish_end(const struct sock *sk, struct connection *c)
{
	publish(sk, c);
	levels_take_back(sk, c);
	return count_open(sk, c, -1);
}
