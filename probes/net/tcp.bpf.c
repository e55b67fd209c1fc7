/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * TCP connections: told when a connect has its outcome, when a connection is accepted, and when it
 * is closed. All but the accept happen in softirq as often as not, so the process is taken where
 * one calls: connect(2), accept(2), close(2); it is kept by socket.
 *
 * Connections that are open when the probe is attached are taken over with the process that has them,
 * and marked `already_open`: their bytes are the kernel's own totals, since when they are open isn't known.
 */
#include "sonda.bpf.h"

#include "kernel/skb.h"
#include "kernel/sock.h"
#include "kernel/syscall.h"
#include "sonda/accept.h"
#include "sonda/cause.h"
#include "sonda/served.h"
#include "sonda/sockets.h"

/* clang-format off */
PROBE(tcp, "net", "TCP connections made, accepted and closed, with outcome, bytes and round trips");
FILTERS("task errors min");
PARAM(bool, existing, false, DOC("also a row for each connection that is open when tracing begins"));
PARAM(bool, segments, false, DOC("also a row for each segment sent again, and each reset"));

enum tcp_step {
	TCP_STEP_CONNECT,
	TCP_STEP_ACCEPT,
	TCP_STEP_CLOSE,
	TCP_STEP_OPEN,
	TCP_STEP_RETRANSMIT,
	TCP_STEP_RESET_SENT,
	TCP_STEP_RESET_RECEIVED,
};
enum tcp_side { TCP_SIDE_UNKNOWN, TCP_SIDE_CLIENT, TCP_SIDE_SERVER };
enum tcp_end { TCP_END_NONE, TCP_END_LOCAL, TCP_END_PEER };
enum tcp_state {
	TCP_STATE_NONE,
	TCP_STATE_ESTABLISHED,
	TCP_STATE_SYN_SENT,
	TCP_STATE_SYN_RECV,
	TCP_STATE_FIN_WAIT1,
	TCP_STATE_FIN_WAIT2,
	TCP_STATE_TIME_WAIT,
	TCP_STATE_CLOSE,
	TCP_STATE_CLOSE_WAIT,
	TCP_STATE_LAST_ACK,
	TCP_STATE_LISTEN,
	TCP_STATE_CLOSING,
	TCP_STATE_NEW_SYN_RECV,
};
/* The names are the running kernel's. */
enum sk_rst_reason { SK_RST_REASON_NOT_SPECIFIED };
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
	enum tcp_step step DOC("connect: it has its outcome; accept: a server took it; close: it ended; "
			       "open: it was there before");
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
	enum tcp_state state HIDE DOC("state of the connection, before this step");
	enum sk_rst_reason reset_reason HIDE DOC("reset_sent: why (from 6.10 on)");
};

struct tcp_labels {
	char comm[16] KIND("comm");
	enum tcp_side side;
	u32 port KIND("port") DOC("the server's port");
	struct ip peer HIDE DOC("address of the other end");
};
struct tcp_values {
	u64 sent_bytes COUNTER UNIT("bytes") DOC("payload sent");
	u64 received_bytes COUNTER UNIT("bytes") DOC("payload received");
	u64 open GAUGE DOC("connections open now");
	u64 connects COUNTER DOC("connections made");
	u64 accepts COUNTER DOC("connections accepted");
	u64 failures COUNTER DOC("connects that failed");
	u64 retransmits COUNTER DOC("segments sent again, SYN included");
	u64 closes COUNTER HIDE DOC("connections closed");
	u64 broken COUNTER HIDE DOC("of these not in order: reset, timed out or aborted");
	u64 resets_sent COUNTER HIDE DOC("resets sent");
	u64 resets_received COUNTER HIDE DOC("resets received");
	u64 listen_drops COUNTER HIDE DOC("segments that a listening socket's queues had no room for");
	HIST_LOG2(rtt_us, 26, UNIT("us") DOC("smoothed round-trip time: of each connection at its close "
					     "and each second in which it was used"));
	HIST_LOG2(connect_ns, 38, UNIT("ns") DOC("time connects take"));
	HIST_LOG2(accept_ns, 38, HIDE UNIT("ns") DOC("time in the accept queue"));
};
METRICS(tcp, struct tcp_labels, struct tcp_values, 2048, "TCP connections");

struct stray_labels {
	u32 port KIND("port") DOC("port that nobody listens at");
	struct ip peer DOC("who tries");
};
struct stray_values {
	u64 resets COUNTER DOC("resets sent");
};
METRICS(strays, struct stray_labels, struct stray_values, 1024,
	"Resets for what belongs to no connection: ports that nobody listens at (from 6.10 on)");

struct connection_labels {
	char comm[16] KIND("comm");
	u32 pid KIND("pid") DOC("process that has it");
	u32 local_port KIND("port") DOC("port of this end");
	struct ip local HIDE DOC("address of this end");
	struct ip peer DOC("address of the other end");
	u32 peer_port KIND("port") DOC("port of the other end");
};
struct connection_values {
	u64 sent_bytes COUNTER UNIT("bytes") DOC("payload sent");
	u64 received_bytes COUNTER UNIT("bytes") DOC("payload received");
	u64 retransmits COUNTER DOC("segments sent again");
	u64 rtt_us GAUGE UNIT("us") DOC("smoothed round-trip time; of several connections the longest");
	u64 unacked_bytes GAUGE UNIT("bytes") DOC("written and not yet acknowledged by the other end");
	u64 unread_bytes GAUGE UNIT("bytes") DOC("received and not yet read by the process");
};
/* The least used row makes room: those of connections long closed. */
METRICS_TABLE(BPF_MAP_TYPE_LRU_HASH, connections, struct connection_labels, struct connection_values,
	      8192, "Each connection by itself");

/* clang-format on */

#include "tcp_state.h"
#include "tcp_count.h"

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
	if (s->local.family) {
		e->local = s->local;
		e->local_port = s->local_port;
	} else {
		sock_addresses(sk, &e->local, &e->peer);
		e->local_port = sock_local_port(sk);
		e->peer_port = sock_peer_port(sk);
	}
	if (s->peer.family) {
		e->peer = s->peer;
		e->peer_port = s->peer_port;
	}
	e->outcome = s->outcome;
	e->err = s->err;
	e->took_ns = s->took_ns;
	e->state = sock_state(sk);
	e->reset_reason = s->reset_reason;
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
static __always_inline int step_tell(void *ctx, const struct sock *sk, const struct connection *c,
				     const struct step *s)
{
	if (!c || !s || !cause_wanted(&c->cause) || !notable(s->err, s->took_ns))
		return 0;
	count_step(sk, c, s);
	if (events_wanted())
		step_send(ctx, sk, c, s);
	return 0;
}

/* Not static: the verifier checks it once, and not at each call. */
__noinline int known_forget(u64 key)
{
	struct connection *c = bpf_map_lookup_elem(&known, &key);
	const struct sock *sk = (const struct sock *)key;

	if (!c)
		return 0;
	publish_end(sk, c);
	return bpf_map_delete_elem(&known, &key);
}

static __always_inline void connection_forget(const struct connection *c)
{
	known_forget(c->sk);
}

#include "tcp_steps.h"

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
	else if (new == BPF_TCP_LISTEN)
		listens(sk);
	else if (new == BPF_TCP_CLOSE && old == BPF_TCP_LISTEN)
		listens_no_more(sk);
	else if (new == BPF_TCP_CLOSE && old != BPF_TCP_CLOSE)
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
	if (c->listening || c->ended) {
		/* nothing to tell */
	} else if (c->side != TCP_SIDE_CLIENT || c->established) {
		close_tell(ctx, sk, c, BPF_TCP_CLOSE);
	} else {
		if (!c->undecided)
			c->ended_ns = bpf_ktime_get_ns();
		c->undecided = true;
		connect_tell(ctx, sk, c, -BPF_CORE_READ(sk, sk_err));
	}
	connection_forget(c);
	return 0;
}

#include "tcp_connect.h"

/* --- accept --- */

static __noinline int accepted(void *ctx, const struct sock *sk)
{
	struct connection *c = connection_of(sk);
	struct step s = { .step = TCP_STEP_ACCEPT, .outcome = TCP_OUTCOME_OK };
	u64 now = bpf_ktime_get_ns();

	if (!c && sock_state(sk) == BPF_TCP_SYN_RECV) { /* fast open: its handshake still goes on */
		c = connection_new((u64)sk);
		if (c)
			c->since_ns = now;
	} else if (!c) { /* it was in the queue before us */
		c = connection_late(sk);
	}
	if (!c)
		return 0;
	c->side = TCP_SIDE_SERVER;
	c->established = true;
	cause_now(&c->cause);
	if (c->since_ns)
		s.took_ns = now - c->since_ns;
	step_tell(ctx, sk, c, &s);
	count_open(sk, c, 1);
	return 0;
}
ACCEPT_HOOKS

#include "tcp_segments.h"

/* --- what is open already, and what goes on in it --- */

static __always_inline bool can_be_seeded(u32 state)
{
	return state != BPF_TCP_CLOSE && state != BPF_TCP_TIME_WAIT && state != BPF_TCP_SYN_RECV &&
	       state != BPF_TCP_NEW_SYN_RECV;
}

AT_START SEC("iter/task_file") int open_before(struct bpf_iter__task_file *ctx)
{
	const struct sock *sk = iter_sock(ctx->file);
	struct task_struct *task = ctx->task;
	struct connection c = { .sk = (u64)sk };
	struct totals before = {};
	u64 key = (u64)sk;
	u32 state;

	if (!task || !sk || !sock_is_tcp(sk))
		return 0;
	state = sock_state(sk);
	if (!can_be_seeded(state))
		return 0;
	cause_of(&c.cause, task);
	c.already_open = true;
	c.listening = state == BPF_TCP_LISTEN;
	c.established = state != BPF_TCP_LISTEN && state != BPF_TCP_SYN_SENT;
	c.untold = existing && c.established;
	if (c.listening)
		served_count(sk, 1);
	if (c.listening || state == BPF_TCP_SYN_SENT)
		c.side = c.listening ? TCP_SIDE_SERVER : TCP_SIDE_CLIENT;
	totals_grown(&c, sk, &before);
	if (bpf_map_update_elem(&known, &key, &c, BPF_NOEXIST) == -E2BIG)
		count_lost(LOSS_STATE);
	if (sock_state(sk) == BPF_TCP_CLOSE) /* meanwhile */
		bpf_map_delete_elem(&known, &key);
	return 0;
}

/* Room in the ring for what is told of connections that are there already? */
static __always_inline bool ring_has_room(void)
{
	return sonda_conf.perf_array ||
	       bpf_ringbuf_query(&sonda_ring, BPF_RB_AVAIL_DATA) <
		       bpf_ringbuf_query(&sonda_ring, BPF_RB_RING_SIZE) / 2;
}

static __noinline int look_at(void *ctx, u64 key)
{
	struct connection *c = bpf_map_lookup_elem(&known, &key);
	const struct sock *sk = (const struct sock *)key;
	struct step s = { .step = TCP_STEP_OPEN, .outcome = TCP_OUTCOME_OK };

	if (!c || c->ended)
		return 0;
	if (c->side == TCP_SIDE_UNKNOWN)
		c->side = port_is_served(sk) ? TCP_SIDE_SERVER : TCP_SIDE_CLIENT;
	if (c->already_open && c->established)
		count_open(sk, c, 1);
	publish(sk, c);
	if (c->untold && events_wanted() && ring_has_room()) {
		c->untold = false;
		step_tell(ctx, sk, c, &s);
	}
	return 0;
}

OVER(known)
AT_START EVERY(1000) AT_READING
SEC("iter/bpf_map_elem")
int each_second(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 *key = ctx->key;

	if (!key || (!tables_wanted() && !existing))
		return 0;
	return look_at(ctx, *key);
}
