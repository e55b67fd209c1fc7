/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * TCP connections: told when a connect has its outcome, when a connection is accepted, and when it
 * is closed. All but the accept happen in softirq as often as not, so the process is taken where
 * one calls: connect(2), accept(2), close(2); it is kept by socket.
 *
 * A connection that was open before the probe was attached is told when it closes, marked
 * `already_open`: its bytes are the kernel's own totals, how long it was open isn't known.
 */
#include "sonda.bpf.h"

#include "kernel/sock.h"
#include "kernel/syscall.h"
#include "sonda/cause.h"

PROBE(tcp, "net", "TCP connections made, accepted and closed, with outcome, bytes and round trips");
FILTERS("task errors min");

enum tcp_step { TCP_STEP_CONNECT, TCP_STEP_ACCEPT, TCP_STEP_CLOSE };
enum tcp_side { TCP_SIDE_UNKNOWN, TCP_SIDE_CLIENT, TCP_SIDE_SERVER };
enum tcp_end { TCP_END_NONE, TCP_END_LOCAL, TCP_END_PEER };
enum tcp_outcome {
	TCP_OUTCOME_FAILED,
	TCP_OUTCOME_OK,
	TCP_OUTCOME_REFUSED,
	TCP_OUTCOME_RESET,
	TCP_OUTCOME_UNREACHABLE,
	TCP_OUTCOME_TIMEOUT,
	TCP_OUTCOME_ABORTED,
};

EVENT(tcp, "One step in the life of a TCP connection") {
	struct task task; /* who connected or accepted; nobody: not accepted yet, or not known */
	enum tcp_step step DOC("connect: it has its outcome; accept: a server took it; close: it ended");
	enum tcp_side side HIDE DOC("which end this process is");
	struct ip local DOC("address of this end");
	u16 local_port KIND("port") DOC("port of this side");
	u16 peer_port KIND("port") DOC("port of the other side");
	struct ip peer DOC("address of the other end; IPv4 in IPv6 is shown as IPv4");
	enum tcp_outcome outcome DOC("aborted: given up at this end, by close or reset");
	s32 err KIND("errno") DOC("0, or what went wrong");
	u64 took_ns KIND("duration") DOC("connect: until the outcome; accept: waiting in the accept "
					 "queue; close: how long it was open, 0 if already_open");
	u64 sent_bytes KIND("bytes") DOC("payload handed to the network, once however often sent");
	u64 received_bytes KIND("bytes") DOC("payload received in order");
	u32 rtt_us UNIT("us") DOC("smoothed round-trip time; 0: never measured");
	u32 min_rtt_us UNIT("us") HIDE DOC("least round-trip time of the last minutes");
	u32 retransmits DOC("segments sent again, SYN included");
	enum tcp_end closed_by HIDE DOC("which end closed first");
	u32 netns KIND("netns") HIDE DOC("network namespace of the socket");
	bool already_open HIDE DOC("it was open when tracing began");
};

struct tcp_labels {
	char comm[16] KIND("comm");
	enum tcp_side side;
	u32 port KIND("port") DOC("the server's port");
};
struct tcp_values {
	u64 connects COUNTER DOC("connections made");
	u64 accepts COUNTER DOC("connections accepted");
	u64 failures COUNTER DOC("connects that failed");
	u64 closes COUNTER DOC("connections closed");
	u64 broken COUNTER DOC("of these not in order: reset, timed out or aborted");
	u64 sent_bytes COUNTER UNIT("bytes") DOC("payload sent on closed connections");
	u64 received_bytes COUNTER UNIT("bytes") DOC("payload received on closed connections");
	u64 retransmits COUNTER DOC("segments sent again on closed or failed connections");
	HIST_LOG2(connect_ns, 38, UNIT("ns") DOC("time connects take"));
	HIST_LOG2(accept_ns, 38, UNIT("ns") DOC("time in the accept queue"));
	HIST_LOG2(rtt_us, 26, UNIT("us") DOC("smoothed round-trip time at close"));
};
METRICS(tcp, struct tcp_labels, struct tcp_values, 2048, "TCP connections");

struct connection {
	struct cause cause;
	u64 since_ns; /* the connect began; then: it was established */
	u64 ended_ns; /* undecided: when */
	enum tcp_side side;
	bool already_open;
	bool established;
	bool undecided; /* a connect that ended without an error: who ended it will be known soon */
	u8 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u64); /* struct sock */
	__type(value, struct connection);
} connections SEC(".maps");

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
	struct ip peer; /* where the socket doesn't have it */
	u64 peer_port;
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

static __always_inline void count_connect(struct tcp_values *row, const struct step *s, u32 again)
{
	add(row->connects, s->outcome == TCP_OUTCOME_OK);
	add(row->failures, s->outcome != TCP_OUTCOME_OK);
	add(row->retransmits, s->outcome != TCP_OUTCOME_OK ? again : 0);
	observe(row->connect_ns, s->took_ns);
}

static __always_inline void count_close(struct tcp_values *row, const struct step *s,
					const struct sock *sk)
{
	add(row->closes, 1);
	add(row->broken, s->outcome != TCP_OUTCOME_OK);
	add(row->sent_bytes, tcp_sent_bytes(sk));
	add(row->received_bytes, tcp_received_bytes(sk));
	add(row->retransmits, tcp_retransmits(sk));
	observe(row->rtt_us, tcp_rtt_us(sk));
}

static __noinline int step_count(const struct sock *sk, const struct connection *c,
				 const struct step *s)
{
	struct tcp_labels key = {};
	struct tcp_values *row;

	if (!c || !s)
		return 0;
	if (label(tcp, 0))
		__builtin_memcpy(key.comm, c->cause.task.comm, sizeof(key.comm));
	if (label(tcp, 1))
		key.side = c->side;
	if (label(tcp, 2) && c->side != TCP_SIDE_UNKNOWN)
		key.port = c->side == TCP_SIDE_SERVER ? sock_local_port(sk)
			   : s->peer_port	      ? s->peer_port
						      : sock_peer_port(sk);
	row = row_of(tcp, &key);
	if (!row)
		return 0;
	if (s->step == TCP_STEP_CONNECT) {
		count_connect(row, s, tcp_retransmits(sk));
	} else if (s->step == TCP_STEP_CLOSE) {
		count_close(row, s, sk);
	} else {
		add(row->accepts, 1);
		observe(row->accept_ns, s->took_ns);
	}
	return 0;
}

static __noinline int step_send(void *ctx, const struct sock *sk, const struct connection *c,
				const struct step *s)
{
	struct tcp *e;

	if (!c || !s)
		return 0;
	e = event_new(tcp);
	if (!e)
		return 0;
	e->task = c->cause.task;
	e->step = s->step;
	e->side = c->side;
	sock_addresses(sk, &e->local, &e->peer);
	e->local_port = sock_local_port(sk);
	e->peer_port = sock_peer_port(sk);
	if (s->peer.family) {
		e->peer = s->peer;
		e->peer_port = s->peer_port;
	}
	e->outcome = s->outcome;
	e->err = s->err;
	e->took_ns = s->took_ns;
	e->sent_bytes = tcp_sent_bytes(sk);
	e->received_bytes = tcp_received_bytes(sk);
	e->rtt_us = tcp_rtt_us(sk);
	e->min_rtt_us = tcp_min_rtt_us(sk);
	e->retransmits = tcp_retransmits(sk);
	e->closed_by = s->closed_by;
	e->netns = sock_netns(sk);
	e->already_open = c->already_open;
	event_send(ctx, e);
	return 0;
}

/* Inlined: the verifier of 7.2 loses track of a struct on the stack that is handed down thrice. */
static __always_inline int step_tell(void *ctx, const struct sock *sk,
				     const struct connection *c, const struct step *s)
{
	if (!c || !s || !cause_wanted(&c->cause) || !notable(s->err, s->took_ns))
		return 0;
	if (tables_wanted())
		step_count(sk, c, s);
	if (events_wanted())
		step_send(ctx, sk, c, s);
	return 0;
}

static __always_inline struct connection *connection_of(const struct sock *sk)
{
	u64 key = (u64)sk;

	return bpf_map_lookup_elem(&connections, &key);
}

static __always_inline void connection_forget(const struct sock *sk)
{
	u64 key = (u64)sk;

	bpf_map_delete_elem(&connections, &key);
}

static __always_inline int connection_keep(const struct sock *sk, struct connection *c)
{
	u64 key = (u64)sk;

	return bpf_map_update_elem(&connections, &key, c, BPF_ANY);
}

/* --- connect: CLOSE to SYN_SENT, by the caller; then its outcome, in any context --- */

static __noinline int connect_tell(void *ctx, const struct sock *sk, struct connection *c, int err)
{
	struct step s = { .step = TCP_STEP_CONNECT };

	if (!c)
		return 0;
	s.err = err;
	s.outcome = c->undecided && !err ? TCP_OUTCOME_ABORTED : outcome_of(err);
	s.took_ns = (c->undecided ? c->ended_ns : bpf_ktime_get_ns()) - c->since_ns;
	step_tell(ctx, sk, c, &s);
	return 0;
}

static __always_inline void connect_begins(void *ctx, const struct sock *sk)
{
	struct connection c = {}, *before = connection_of(sk);
	u32 tid = bpf_get_current_pid_tgid();
	struct attempt *attempt = bpf_map_lookup_elem(&attempts, &tid);

	if (attempt)
		attempt->sent = true;
	if (before && before->undecided)
		connect_tell(ctx, sk, before, 0);
	c.since_ns = bpf_ktime_get_ns();
	c.side = TCP_SIDE_CLIENT;
	cause_now(&c.cause);
	if (connection_keep(sk, &c))
		count_lost(LOSS_STATE);
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
		connection_forget(sk);
	} else {
		/* connect(2) is about to fail, or the process closed the socket */
		c->undecided = true;
		c->ended_ns = bpf_ktime_get_ns();
	}
}

static __always_inline void established(void *ctx, const struct sock *sk)
{
	struct connection fresh = {}, *c = connection_of(sk);
	u64 now = bpf_ktime_get_ns();

	if (!c) {
		fresh.since_ns = now;
		fresh.side = TCP_SIDE_SERVER;
		fresh.established = true;
		cause_unknown(&fresh.cause);
		connection_keep(sk, &fresh);
	} else if (c->side == TCP_SIDE_CLIENT) {
		connect_tell(ctx, sk, c, 0);
		c->established = true;
		c->since_ns = now;
	}
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

static __always_inline void connection_unknown(struct connection *c)
{
	c->already_open = true;
	cause_unknown(&c->cause);
}

static __noinline int closing(const struct sock *sk)
{
	struct connection fresh = {}, *c = connection_of(sk);

	if (c)
		return owner_seen(sk, c);
	connection_unknown(&fresh);
	owner_seen(sk, &fresh);
	return connection_keep(sk, &fresh);
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
	if (!err && (old == BPF_TCP_ESTABLISHED || old == BPF_TCP_CLOSE_WAIT ||
		     old == BPF_TCP_FIN_WAIT1))
		s.outcome = TCP_OUTCOME_ABORTED;
	s.closed_by = closed_first(old, s.outcome);
	if (!c->already_open)
		s.took_ns = bpf_ktime_get_ns() - c->since_ns;
	step_tell(ctx, sk, c, &s);
	return 0;
}

static __always_inline void closed(void *ctx, const struct sock *sk, int old)
{
	struct connection fresh = {}, *c = connection_of(sk);

	if (c) {
		close_tell(ctx, sk, c, old);
		connection_forget(sk);
	} else {
		connection_unknown(&fresh);
		close_tell(ctx, sk, &fresh, old);
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, const struct sock *sk, int old, int new)
{
	if (!sock_is_tcp(sk))
		return 0;
	if (new == BPF_TCP_SYN_SENT)
		connect_begins(ctx, sk);
	else if (new == BPF_TCP_ESTABLISHED)
		established(ctx, sk);
	else if (new == BPF_TCP_FIN_WAIT1 || new == BPF_TCP_LAST_ACK)
		closing(sk);
	else if (new == BPF_TCP_CLOSE && (old == BPF_TCP_SYN_SENT || old == BPF_TCP_SYN_RECV))
		connect_fails(ctx, sk);
	else if (new == BPF_TCP_CLOSE && old != BPF_TCP_CLOSE && old != BPF_TCP_LISTEN)
		closed(ctx, sk, old);
	return 0;
}

/* What is still untold when the socket goes: a connect that its process gave up, and a close whose
 * change of state came while set_state was running on this CPU; the kernel skips such. */
SEC("tp_btf/tcp_destroy_sock") int BPF_PROG(destroy, const struct sock *sk)
{
	struct connection *c = connection_of(sk);

	if (!c)
		return 0;
	if (c->side != TCP_SIDE_CLIENT || c->established) {
		close_tell(ctx, sk, c, BPF_TCP_CLOSE);
	} else {
		if (!c->undecided)
			c->ended_ns = bpf_ktime_get_ns();
		c->undecided = true;
		connect_tell(ctx, sk, c, -BPF_CORE_READ(sk, sk_err));
	}
	connection_forget(sk);
	return 0;
}

/* --- what connect(2) returned: needed where the socket doesn't say --- */

/* `sent`: this call has sent a SYN. */
static __noinline int connect_returns(void *ctx, const struct sock *sk,
				      const struct sockaddr_any *to, int err, bool sent)
{
	struct connection fresh = {}, *c = connection_of(sk);
	struct step s = { .step = TCP_STEP_CONNECT };

	if (!to || err >= 0 || err == -EINPROGRESS)
		return 0;
	if (c && c->undecided) {
		connect_tell(ctx, sk, c, err);
		connection_forget(sk);
	}
	if (c || sent)
		return 0;
	fresh.side = TCP_SIDE_CLIENT;
	cause_now(&fresh.cause);
	s.err = err;
	s.outcome = outcome_of(err);
	s.peer_port = bpf_ntohs(to->port);
	if (to->family == AF_INET6) {
		ip_from_v6(&s.peer, to->v6);
	} else {
		s.peer.family = AF_INET;
		__builtin_memcpy(s.peer.bytes, &to->v4, 4);
	}
	step_tell(ctx, sk, &fresh, &s);
	return 0;
}

ALT(connect, 1)
SEC("?fexit/tcp_v4_connect")
int BPF_PROG(connect4_done, struct sock *sk, void *address, int size, int err)
{
	struct sockaddr_any to = {};

	bpf_probe_read_kernel(&to, 16, address);
	return connect_returns(ctx, sk, &to, err, false);
}

ALT(connect, 1)
SEC("?fexit/tcp_v6_connect")
int BPF_PROG(connect6_done, struct sock *sk, void *address, int size, int err)
{
	struct sockaddr_any to = {};
	struct ip ip = {};

	bpf_probe_read_kernel(&to, sizeof(to), address);
	ip_from_v6(&ip, to.v6);
	if (ip.family == AF_INET) /* it has called tcp_v4_connect */
		return 0;
	return connect_returns(ctx, sk, &to, err, false);
}

ALT(connect, 2)
SEC("?tp/syscalls/sys_enter_connect") int connect_enters(struct syscall_trace_enter *ctx)
{
	u32 tid = bpf_get_current_pid_tgid(), size = ctx->args[2];
	void *address = (void *)ctx->args[1];
	struct socket *socket;
	struct sock *sk = sock_of_fd(ctx->args[0], &socket);
	struct attempt a = {};

	if (!sk || BPF_CORE_READ(socket, state) != SS_UNCONNECTED)
		return 0;
	a.sk = (u64)sk;
	if (size < sizeof(a.to))
		bpf_probe_read_user(&a.to, 16, address);
	else
		bpf_probe_read_user(&a.to, sizeof(a.to), address);
	bpf_map_update_elem(&attempts, &tid, &a, BPF_ANY);
	return 0;
}

ALT(connect, 2)
SEC("?tp/syscalls/sys_exit_connect") int connect_exits(struct syscall_trace_exit *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct attempt *kept = bpf_map_lookup_elem(&attempts, &tid), a;

	if (!kept)
		return 0;
	a = *kept;
	bpf_map_delete_elem(&attempts, &tid);
	return connect_returns(ctx, (struct sock *)a.sk, &a.to, ctx->ret, a.sent);
}

/* --- accept --- */

static __noinline int accepted(void *ctx, const struct sock *sk)
{
	struct connection fresh = {}, *c = connection_of(sk);
	struct step s = { .step = TCP_STEP_ACCEPT, .outcome = TCP_OUTCOME_OK };
	u64 now = bpf_ktime_get_ns();

	if (c)
		fresh.since_ns = c->since_ns;
	else
		fresh.since_ns = now;
	fresh.side = TCP_SIDE_SERVER;
	fresh.established = true;
	cause_now(&fresh.cause);
	s.took_ns = now - fresh.since_ns;
	step_tell(ctx, sk, &fresh, &s);
	connection_keep(sk, &fresh);
	return 0;
}

/* the arguments became a struct in 6.10 (92ef0fd55ac8) */
ALT(accept, 1) NEED("type proto_accept_arg")
SEC("?fexit/inet_csk_accept")
int BPF_PROG(accept_done, struct sock *listener, void *arg, struct sock *sk)
{
	return sk ? accepted(ctx, sk) : 0;
}

ALT(accept, 2) NEED("!type proto_accept_arg")
SEC("?fexit/inet_csk_accept")
int BPF_PROG(accept_done_69, struct sock *listener, int flags, int *err, bool kern, struct sock *sk)
{
	return sk ? accepted(ctx, sk) : 0;
}

static __always_inline int accept_returns(void *ctx, long fd)
{
	struct socket *socket;
	struct sock *sk = fd < 0 ? NULL : sock_of_fd(fd, &socket);

	return sk ? accepted(ctx, sk) : 0;
}

ALT(accept, 3)
SEC("?tp/syscalls/sys_exit_accept") int accept_exits(struct syscall_trace_exit *ctx)
{
	return accept_returns(ctx, ctx->ret);
}

ALT(accept, 3)
SEC("?tp/syscalls/sys_exit_accept4") int accept4_exits(struct syscall_trace_exit *ctx)
{
	return accept_returns(ctx, ctx->ret);
}
