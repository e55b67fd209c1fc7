/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How long answers take on TCP connections, without knowing the protocol: at the client's end from the
 * last write of a request to the first read of what comes back, at the server's from the last read of
 * a request to the first write of the answer. Each end in its own process.
 *
 * So it is true of what asks and answers in turn: HTTP/1, databases, RPC. Where requests overlap
 * (HTTP/2, pipelining) it is the time of the quickest, and what a server sends unasked looks like an
 * answer.
 */
#include "sonda.bpf.h"

#include "kernel/sock.h"
#include "sonda/served.h"
#include "sonda/sockets.h"

/* clang-format off */
PROBE(latency, "net", "Time from a request to the first byte of its answer, on TCP connections");
FILTERS("task min=10ms");

enum latency_side { LATENCY_SIDE_CLIENT, LATENCY_SIDE_SERVER };

EVENT(latency, "An answer began, so long after its request") {
	struct task task;
	enum latency_side side DOC("client: from request written to answer read; "
				   "server: from request read to answer written");
	struct ip local HIDE DOC("address of this end");
	u16 local_port KIND("port") DOC("port of this end");
	u16 peer_port KIND("port") DOC("port of the other end");
	struct ip peer DOC("address of the other end");
	u64 took_ns KIND("duration") DOC("from the request's last byte to the answer's first");
	u32 netns KIND("netns") HIDE DOC("network namespace of the socket");
};

struct latency_labels {
	char comm[16] KIND("comm");
	enum latency_side side DOC("client: from request written to answer read; "
				   "server: from request read to answer written");
	u32 port KIND("port") DOC("the server's port");
	struct ip peer HIDE DOC("address of the other end");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct latency_values {
	u64 requests COUNTER DOC("requests answered");
	HIST_LOG2(took_ns, 38, UNIT("ns") DOC("from the request's last byte to the answer's first"));
};
METRICS(latency, struct latency_labels, struct latency_values, 2048, "Requests and how soon they are answered");
/* clang-format on */

/* Is it known who listens? Before, servers would be taken for clients. */
bool all_listeners_known;

/* A connection, from its first byte on. */
struct dialogue {
	u64 asked_ns; /* the request's last byte; 0: no request is open */
	u32 port;     /* the server's */
	bool is_client;
	u8 pad[3];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u64); /* struct sock */
	__type(value, struct dialogue);
} dialogues SEC(".maps");

static __noinline int count_answer(const struct sock *sk, const struct dialogue *d, u64 took_ns)
{
	struct latency_labels key = {};
	struct latency_values *row;
	struct ip local = {};

	if (!d)
		return 0;
	if (label(latency, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(latency, 1))
		key.side = d->is_client ? LATENCY_SIDE_CLIENT : LATENCY_SIDE_SERVER;
	if (label(latency, 2))
		key.port = d->port;
	if (label(latency, 3))
		sock_addresses(sk, &local, &key.peer);
	if (label(latency, 4))
		key.cgroup = task_cgroup_id(current_task());
	row = row_of(latency, &key);
	if (!row)
		return 0;
	add(row->requests, 1);
	observe(row->took_ns, took_ns);
	return 0;
}

static __noinline int tell_answer(void *ctx, const struct sock *sk, const struct dialogue *d,
				  u64 took_ns)
{
	struct latency *e;

	if (!d)
		return 0;
	e = event_new(latency);
	if (!e)
		return 0;
	task_now(&e->task);
	e->side = d->is_client ? LATENCY_SIDE_CLIENT : LATENCY_SIDE_SERVER;
	sock_addresses(sk, &e->local, &e->peer);
	e->local_port = sock_local_port(sk);
	e->peer_port = sock_peer_port(sk);
	e->took_ns = took_ns;
	e->netns = sock_netns(sk);
	event_send(ctx, e);
	return 0;
}

static __noinline struct dialogue *dialogue_new(const struct sock *sk)
{
	u64 key = (u64)sk;
	struct dialogue d = {};

	d.is_client = !port_is_served(sk);
	d.port = d.is_client ? sock_peer_port(sk) : sock_local_port(sk);
	if (bpf_map_update_elem(&dialogues, &key, &d, BPF_NOEXIST) == -E2BIG)
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&dialogues, &key);
}

static __noinline int answer_begins(void *ctx, const struct sock *sk, struct dialogue *d)
{
	u64 took_ns;

	if (!d)
		return 0;
	took_ns = bpf_ktime_get_ns() - d->asked_ns;
	d->asked_ns = 0;
	if (!wanted() || !notable(0, took_ns))
		return 0;
	if (tables_wanted())
		count_answer(sk, d, took_ns);
	if (events_wanted())
		tell_answer(ctx, sk, d, took_ns);
	return 0;
}

/* The process has read something, or is about to write: at the client's end a write is (part of) a
 * request and a read an answer, at the server's the other way round. */
static __always_inline int said(void *ctx, const struct sock *sk, bool is_write)
{
	u64 key = (u64)sk;
	struct dialogue *d = bpf_map_lookup_elem(&dialogues, &key);

	if (!d && all_listeners_known)
		d = dialogue_new(sk);
	if (!d)
		return 0;
	if (d->is_client == is_write)
		d->asked_ns = bpf_ktime_get_ns();
	else if (d->asked_ns)
		answer_begins(ctx, sk, d);
	return 0;
}

/* clang-format off */

/* each time that a part of what came is handed over */
SEC("tp_btf/tcp_rcv_space_adjust") int BPF_PROG(reads, const struct sock *sk)
{
	return said(ctx, sk, false);
}

/* Each time that a part of what is to be sent is taken: the first is when the answer begins, the last
 * when the request ends. */
ALT(write, 1) NEED("tp tcp/tcp_sendmsg_locked") /* 6.16 */
SEC("?tp_btf/tcp_sendmsg_locked") int BPF_PROG(writes, const struct sock *sk)
{
	return said(ctx, sk, true);
}

/* Before that the function's begin and end, and until 6.5 that of sendfile(2). */
ALT(write, 2) SEC("?fentry/tcp_sendmsg_locked") int BPF_PROG(write_begins_64, const struct sock *sk)
{
	return said(ctx, sk, true);
}
ALT(write, 2) SEC("?fexit/tcp_sendmsg_locked") int BPF_PROG(write_ends_64, const struct sock *sk)
{
	return said(ctx, sk, true);
}
ALT(write, 2) NEED("func do_tcp_sendpages")
SEC("?fentry/do_tcp_sendpages") int BPF_PROG(sends_pages_64, const struct sock *sk)
{
	return said(ctx, sk, true);
}

ALT(write, 3) SEC("?fentry/tcp_sendmsg_locked") int BPF_PROG(write_begins, const struct sock *sk)
{
	return said(ctx, sk, true);
}
ALT(write, 3) SEC("?fexit/tcp_sendmsg_locked") int BPF_PROG(write_ends, const struct sock *sk)
{
	return said(ctx, sk, true);
}

/* A request that is written in one call then ends where the call begins. */
ALT(write, 4) SEC("?kprobe/tcp_sendmsg_locked") int BPF_KPROBE(writes_kprobe, const struct sock *sk)
{
	return said(ctx, sk, true);
}

/* An answer that is written in one call then begins where the call ends. */
ALT(write, 5) NEED("tp sock/sock_send_length") /* 6.4 */
SEC("?tp_btf/sock_send_length") int BPF_PROG(has_written, const struct sock *sk)
{
	return sock_is_tcp(sk) ? said(ctx, sk, true) : 0;
}

SEC("tp_btf/tcp_destroy_sock") int BPF_PROG(destroy, const struct sock *sk)
{
	u64 key = (u64)sk;

	bpf_map_delete_elem(&dialogues, &key);
	return 0;
}

/* --- who is a server --- */

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, const struct sock *sk, int old, int new)
{
	if (new == BPF_TCP_LISTEN && sock_is_tcp(sk))
		served_count(sk, 1);
	else if (old == BPF_TCP_LISTEN && new == BPF_TCP_CLOSE && sock_is_tcp(sk))
		served_count(sk, -1); /* a connection that begins was copied from it: LISTEN to SYN_RECV */
	return 0;
}

/* A socket that several processes have comes several times: its port then counts as served for longer
 * than it is, which is of no account. */
AT_START SEC("iter/task_file") int listens_already(struct bpf_iter__task_file *ctx)
{
	const struct sock *sk = iter_sock(ctx->file);

	if (!ctx->task) /* the end */
		all_listeners_known = true;
	if (sk && sock_is_tcp(sk) && sock_state(sk) == BPF_TCP_LISTEN)
		served_count(sk, 1);
	return 0;
}
/* clang-format on */
