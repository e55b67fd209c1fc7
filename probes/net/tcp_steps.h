/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a change of state means to net.tcp: a connection begins, has its outcome, ends; a socket listens.
 */
#pragma once

/* --- connect: CLOSE to SYN_SENT, by the caller; then its outcome, in any context --- */

static __noinline int connect_tell(void *ctx, const struct sock *sk, struct connection *c, int err)
{
	struct step s = { .step = TCP_STEP_CONNECT };

	if (!c)
		return 0;
	s.err = err;
	s.outcome = c->undecided && !err ? TCP_OUTCOME_ABORTED : outcome_of(err);
	if (!c->already_open)
		s.took_ns = (c->undecided ? c->ended_ns : bpf_ktime_get_ns()) - c->since_ns;
	step_tell(ctx, sk, c, &s);
	return 0;
}

static __always_inline void connect_begins(void *ctx, const struct sock *sk)
{
	struct connection *c = connection_of(sk);
	u32 tid = bpf_get_current_pid_tgid();
	struct attempt *attempt = bpf_map_lookup_elem(&attempts, &tid);

	if (attempt)
		attempt->sent = true;
	if (c && c->undecided)
		connect_tell(ctx, sk, c, 0);
	c = connection_new((u64)sk);
	if (!c)
		return;
	c->since_ns = bpf_ktime_get_ns();
	c->side = TCP_SIDE_CLIENT;
	cause_now(&c->cause);
}

static __always_inline void connect_fails(void *ctx, const struct sock *sk)
{
	struct connection *c = connection_of(sk);
	int err = BPF_CORE_READ(sk, sk_err);

	if (!c)
		return;
	if (err || c->side != TCP_SIDE_CLIENT) {
		if (c->side == TCP_SIDE_CLIENT)
			connect_tell(ctx, sk, c, -err);
		connection_forget(c);
	} else {
		/* connect(2) is about to fail, or the process closed the socket */
		c->undecided = true;
		c->ended_ns = bpf_ktime_get_ns();
	}
}

static __always_inline void established(void *ctx, const struct sock *sk)
{
	struct connection *c = connection_of(sk);

	if (c && c->side != TCP_SIDE_CLIENT)
		return;
	if (c) {
		connect_tell(ctx, sk, c, 0);
	} else {
		c = connection_new((u64)sk);
		if (!c)
			return;
		c->side = TCP_SIDE_SERVER;
		cause_unknown(&c->cause);
	}
	c->established = true;
	c->since_ns = bpf_ktime_get_ns();
	count_open(sk, c, 1);
}

/* --- close: to CLOSE from any state in which it was connected --- */

static __always_inline enum tcp_end closed_first(int old, enum tcp_outcome outcome)
{
	if (old == BPF_TCP_CLOSE)
		return TCP_END_NONE;
	if (old == BPF_TCP_LAST_ACK || old == BPF_TCP_CLOSE_WAIT)
		return TCP_END_PEER;
	if (old != BPF_TCP_ESTABLISHED || outcome == TCP_OUTCOME_ABORTED)
		return TCP_END_LOCAL;
	return outcome == TCP_OUTCOME_RESET ? TCP_END_PEER : TCP_END_NONE;
}

/* Where the owner isn't known yet, it is the one who closes: he has the socket. */
static __noinline int owner_seen(const struct sock *sk, struct connection *c)
{
	if (c && !c->cause.known && sock_is_owned(sk))
		cause_now(&c->cause);
	return 0;
}

static __noinline int closing(const struct sock *sk)
{
	struct connection *c = connection_of(sk);

	return owner_seen(sk, c ?: connection_late(sk));
}

static __noinline int close_tell(void *ctx, const struct sock *sk, struct connection *c, int old)
{
	int err = BPF_CORE_READ(sk, sk_err);
	struct step s = { .step = TCP_STEP_CLOSE };

	if (!c)
		return 0;
	owner_seen(sk, c);
	s.err = -err;
	s.outcome = outcome_of(-err);
	if (!err &&
	    (old == BPF_TCP_ESTABLISHED || old == BPF_TCP_CLOSE_WAIT || old == BPF_TCP_FIN_WAIT1))
		s.outcome = TCP_OUTCOME_ABORTED;
	s.closed_by = closed_first(old, s.outcome);
	if (!c->already_open)
		s.took_ns = bpf_ktime_get_ns() - c->since_ns;
	step_tell(ctx, sk, c, &s);
	return 0;
}

static __always_inline void closed(void *ctx, const struct sock *sk, int old)
{
	struct connection *c = connection_of(sk);

	if (!c)
		c = connection_late(sk);
	if (!c)
		return;
	close_tell(ctx, sk, c, old);
	publish_end(sk, c);
	c->ended = true;
}

/* --- listen: its queues' drops are counted --- */

static __always_inline void listens(const struct sock *sk)
{
	struct connection *c = connection_new((u64)sk);

	if (!c)
		return;
	c->side = TCP_SIDE_SERVER;
	c->listening = true;
	cause_now(&c->cause);
}

static __always_inline void listens_no_more(const struct sock *sk)
{
	struct connection *c = connection_of(sk);

	if (c)
		connection_forget(c);
}
