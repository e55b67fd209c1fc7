/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * TCP sockets that listen: how full their queues are, what they had no room for, and how long
 * connections wait for accept(2). The kernel counts drops by socket; they are taken over from there
 * once a second, so a flood costs nothing more.
 *
 * Two queues: handshakes underway (SYN queue), and connections that nobody has accepted (accept
 * queue). Where the latter is full the kernel drops what would come into either.
 */
#include "sonda.bpf.h"

#include "kernel/skb.h"
#include "kernel/sock.h"
#include "sonda/accept.h"
#include "sonda/cause.h"
#include "sonda/sockets.h"

/* clang-format off */
PROBE(listen, "net", "Listening TCP sockets: who, where, how full their queues are, and what they drop");
FILTERS("task");

enum listen_step { LISTEN_STEP_BEGIN, LISTEN_STEP_END, LISTEN_STEP_DROP };

EVENT(listen, "A socket began or ceased to listen, or had no room for what came") {
	struct task task; /* who called listen(2) */
	enum listen_step step DOC("begin, end; drop: there was no room in the second before");
	struct ip local DOC("address it listens at");
	u16 local_port KIND("port") DOC("port it listens at");
	u32 backlog DOC("connections that may wait for accept(2); the kernel admits one more");
	u32 queue DOC("connections that wait for accept(2)");
	u32 syn_queue DOC("handshakes underway");
	u32 drops DOC("segments dropped for want of room, since the last row");
	u32 overflows DOC("of these because the accept queue was full; 0 where that can't be told");
	u32 netns KIND("netns") HIDE DOC("network namespace of the socket");
};

ROW(listener, "A listening TCP socket and a process that has it") {
	u32 pid KIND("pid") KEY DOC("process that has it");
	u32 fd KEY HIDE DOC("its descriptor there");
	u32 uid KIND("uid") HIDE DOC("user the process runs as");
	u32 netns KIND("netns") HIDE DOC("network namespace of the socket");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u64 start_ns KIND("boottime") HIDE DOC("when the process began");
	char comm[16] KIND("comm") DOC("command name");
	struct ip local DOC("address it listens at");
	u16 local_port KIND("port") DOC("port it listens at");
	u16 pad HIDE;
	u32 backlog DOC("connections that may wait for accept(2); the kernel admits one more");
	u32 queue DOC("connections that wait for accept(2)");
	u32 syn_queue DOC("handshakes underway");
	u32 drops DOC("segments dropped for want of room since it listens");
};

struct listen_labels {
	char comm[16] KIND("comm") DOC("who called listen(2)");
	u32 port KIND("port") DOC("port listened at");
};
struct listen_values {
	u64 accepts COUNTER DOC("connections accepted");
	u64 drops COUNTER DOC("segments dropped for want of room in a queue");
	u64 overflows COUNTER DOC("of these because the accept queue was full");
	u64 queue GAUGE DOC("connections that wait for accept(2)");
	u64 backlog GAUGE DOC("how many may");
	u64 syn_queue GAUGE DOC("handshakes underway");
	u64 synacks_again COUNTER HIDE DOC("SYN-ACKs sent again: the client's last step didn't come, or found no room");
	HIST_LOG2(wait_ns, 38, UNIT("ns") DOC("from the end of the handshake to accept(2)"));
};
METRICS(listen, struct listen_labels, struct listen_values, 1024, "Listening sockets");
/* clang-format on */

/* What a listening socket says of itself. */
struct queues {
	u32 backlog;
	u32 queue;
	u32 syn_queue;
	u32 drops;
};
struct listener_state {
	struct cause cause;
	u64 sk;
	struct queues told; /* what of it is in the tables, or was before us */
	u64 overflows, overflows_told;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64); /* struct sock */
	__type(value, struct listener_state);
} listeners SEC(".maps");

/* Who listens at a port: what is accepted there counts as his, whatever thread accepts it. */
struct port_key {
	u32 netns;
	u32 port;
};
struct port_owner {
	char comm[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct port_key);
	__type(value, struct port_owner);
} owners SEC(".maps");

/* Connections that wait for accept(2), since when. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u64); /* struct sock */
	__type(value, u64);
} waiting SEC(".maps");

static __always_inline struct listener_state *listener_of(const struct sock *sk)
{
	u64 key = (u64)sk;

	return bpf_map_lookup_elem(&listeners, &key);
}

static __always_inline void port_key_of(struct port_key *key, const struct sock *sk)
{
	key->netns = sock_netns(sk);
	key->port = sock_local_port(sk);
}

static __always_inline void queues_read(struct queues *q, const struct sock *sk)
{
	q->backlog = listen_most(sk);
	q->queue = listen_queue(sk);
	q->syn_queue = listen_syn_queue(sk);
	q->drops = listen_drops(sk);
}

static __noinline struct listen_values *values_of(const struct sock *sk, const char *comm)
{
	struct listen_labels key = {};

	if (!comm)
		return NULL;
	if (label(listen, 0))
		__builtin_memcpy(key.comm, comm, sizeof(key.comm));
	if (label(listen, 1))
		key.port = sock_local_port(sk);
	return row_of(listen, &key);
}

struct step {
	enum listen_step step;
	u32 drops;
	u32 overflows;
};

static __noinline int listen_tell(void *ctx, const struct sock *sk, const struct listener_state *l,
				  const struct step *s)
{
	struct ip peer;
	struct listen *e;

	if (!l || !s || !cause_wanted(&l->cause) || !events_wanted())
		return 0;
	e = event_new(listen);
	if (!e)
		return 0;
	e->task = l->cause.task;
	e->step = s->step;
	sock_addresses(sk, &e->local, &peer);
	e->local_port = sock_local_port(sk);
	e->backlog = listen_most(sk);
	e->queue = listen_queue(sk);
	e->syn_queue = listen_syn_queue(sk);
	e->drops = s->drops;
	e->overflows = s->overflows;
	e->netns = sock_netns(sk);
	event_send(ctx, e);
	return 0;
}

/* Gauges are sums over the sockets of a row: each adds what has changed with it. */
static __noinline int count_queues(const struct sock *sk, const struct listener_state *l,
				   const struct queues *now, const struct step *s)
{
	struct listen_values *row;

	if (!l || !now || !s || !tables_wanted() || l->cause.unwanted)
		return 0;
	row = values_of(sk, l->cause.task.comm);
	if (!row)
		return 0;
	add(row->queue, (s64)now->queue - l->told.queue);
	add(row->backlog, (s64)now->backlog - l->told.backlog);
	add(row->syn_queue, (s64)now->syn_queue - l->told.syn_queue);
	add(row->drops, s->drops);
	add(row->overflows, s->overflows);
	return 0;
}

/* Takes over what the socket has counted since the last time. At its end its queues are empty. */
static __noinline int take_over(void *ctx, const struct sock *sk, struct listener_state *l,
				bool ends)
{
	struct step s = { .step = LISTEN_STEP_DROP };
	struct queues now = {};

	if (!l || l->cause.ours)
		return 0;
	queues_read(&now, sk);
	if (ends)
		now.queue = now.syn_queue = now.backlog = 0;
	s.drops = now.drops - l->told.drops;
	s.overflows = l->overflows - l->overflows_told;
	count_queues(sk, l, &now, &s);
	l->told = now;
	l->overflows_told += s.overflows;
	if (s.drops)
		listen_tell(ctx, sk, l, &s);
	return 0;
}

static __noinline struct listener_state *listener_new(u64 key)
{
	struct listener_state none = { .sk = key };

	if (bpf_map_update_elem(&listeners, &key, &none, BPF_NOEXIST) == -E2BIG)
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&listeners, &key);
}

static __noinline int port_owned(const struct sock *sk, const char *comm)
{
	struct port_owner owner = {};
	struct port_key key = {};

	if (!comm)
		return 0;
	port_key_of(&key, sk);
	__builtin_memcpy(owner.comm, comm, sizeof(owner.comm));
	return bpf_map_update_elem(&owners, &key, &owner, BPF_ANY);
}

static __always_inline void listens(void *ctx, const struct sock *sk)
{
	struct step s = { .step = LISTEN_STEP_BEGIN };
	struct listener_state *l = listener_new((u64)sk);

	if (!l)
		return;
	cause_now(&l->cause);
	l->told.drops = listen_drops(sk);
	port_owned(sk, l->cause.task.comm);
	listen_tell(ctx, sk, l, &s);
}

static __always_inline void listens_no_more(void *ctx, const struct sock *sk)
{
	struct step s = { .step = LISTEN_STEP_END };
	struct listener_state *l = listener_of(sk);
	u64 key = (u64)sk;

	if (!l)
		return;
	take_over(ctx, sk, l, true);
	listen_tell(ctx, sk, l, &s);
	bpf_map_delete_elem(&listeners, &key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, const struct sock *sk, int old, int new)
{
	u64 key = (u64)sk, now;

	if (!sock_is_tcp(sk))
		return 0;
	if (new == BPF_TCP_LISTEN) {
		listens(ctx, sk);
	} else if (old == BPF_TCP_LISTEN && new == BPF_TCP_CLOSE) {
		listens_no_more(ctx, sk);
	} else if (old == BPF_TCP_SYN_RECV && new == BPF_TCP_ESTABLISHED && tables_wanted()) {
		now = bpf_ktime_get_ns();
		if (bpf_map_update_elem(&waiting, &key, &now, BPF_ANY))
			count_lost(LOSS_STATE);
	}
	return 0;
}

/* one that was never accepted */
SEC("tp_btf/tcp_destroy_sock") int BPF_PROG(destroy, const struct sock *sk)
{
	u64 key = (u64)sk;

	if (tables_wanted())
		bpf_map_delete_elem(&waiting, &key);
	return 0;
}

static __noinline int accepted(void *ctx, const struct sock *sk)
{
	u64 key = (u64)sk, now = bpf_ktime_get_ns(), *since;
	struct port_key port = {};
	struct port_owner *owner;
	struct listen_values *row;

	if (!tables_wanted())
		return 0;
	port_key_of(&port, sk);
	owner = bpf_map_lookup_elem(&owners, &port);
	since = bpf_map_lookup_elem(&waiting, &key);
	row = owner && wanted() ? values_of(sk, owner->comm) : NULL;
	if (row) {
		add(row->accepts, 1);
		if (since)
			observe(row->wait_ns, now - *since);
	}
	if (since)
		bpf_map_delete_elem(&waiting, &key);
	return 0;
}
ACCEPT_HOOKS

SEC("tp_btf/tcp_retransmit_synack") int BPF_PROG(synack_again, const struct sock *sk)
{
	struct listener_state *l = listener_of(sk);
	struct listen_values *row;

	if (!l || !tables_wanted() || l->cause.ours || l->cause.unwanted)
		return 0;
	row = values_of(sk, l->cause.task.comm);
	if (row)
		add(row->synacks_again, 1);
	return 0;
}

/* --- which of the drops are those of a full accept queue: where functions can be hooked --- */

/* clang-format off */
#define FULL(rank) ALT(full, rank) OPTIONAL("which drops were for a full accept queue")
#define FULL6(rank) ALT(full6, rank) OPTIONAL("which drops over IPv6 were")

/* A handshake begins or ends: the kernel is about to ask the same. */
static __noinline int queue_asked(const struct sock *sk)
{
	struct listener_state *l = listener_of(sk);

	if (l && listen_queue(sk) > listen_most(sk))
		__sync_fetch_and_add(&l->overflows, 1);
	return 0;
}

FULL(1)
SEC("?fentry/tcp_conn_request")
int BPF_PROG(syn, void *ops, void *af_ops, const struct sock *sk)
{
	return queue_asked(sk);
}
FULL(1)
SEC("?fentry/tcp_v4_syn_recv_sock") int BPF_PROG(ack4, const struct sock *sk)
{
	return queue_asked(sk);
}
FULL(2)
SEC("?kprobe/tcp_conn_request")
int BPF_KPROBE(syn_kprobe, void *ops, void *af_ops, const struct sock *sk)
{
	return queue_asked(sk);
}
FULL(2)
SEC("?kprobe/tcp_v4_syn_recv_sock") int BPF_KPROBE(ack4_kprobe, const struct sock *sk)
{
	return queue_asked(sk);
}

/* over IPv4 it goes on to tcp_v4_syn_recv_sock() */
FULL6(1)
SEC("?fentry/tcp_v6_syn_recv_sock")
int BPF_PROG(ack6, const struct sock *sk, const struct sk_buff *skb)
{
	return skb_protocol(skb) == ETH_P_IPV6 ? queue_asked(sk) : 0;
}
FULL6(2)
SEC("?kprobe/tcp_v6_syn_recv_sock")
int BPF_KPROBE(ack6_kprobe, const struct sock *sk, const struct sk_buff *skb)
{
	return skb_protocol(skb) == ETH_P_IPV6 ? queue_asked(sk) : 0;
}

/* clang-format on */

/* --- once a second; and what listens already --- */

AT_START SEC("iter/task_file") int listens_already(struct bpf_iter__task_file *ctx)
{
	const struct sock *sk = iter_sock(ctx->file);
	struct task_struct *task = ctx->task;
	struct listener_state *l;

	if (!task || !sk || !sock_is_tcp(sk) || sock_state(sk) != BPF_TCP_LISTEN || listener_of(sk))
		return 0;
	l = listener_new((u64)sk);
	if (!l)
		return 0;
	cause_of(&l->cause, task);
	l->told.drops = listen_drops(sk);
	port_owned(sk, l->cause.task.comm);
	if (sock_state(sk) != BPF_TCP_LISTEN) /* meanwhile */
		listens_no_more(ctx, sk);
	return 0;
}

OVER(listeners)
AT_START EVERY(1000) AT_READING
SEC("iter/bpf_map_elem")
int each_second(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 *at = ctx->key, key;
	struct listener_state *l;

	if (!at)
		return 0;
	key = *at;
	l = bpf_map_lookup_elem(&listeners, &key);
	return l ? take_over(ctx, (const struct sock *)key, l, false) : 0;
}

SEC("iter/task_file")
ROWS(listener)
int listening(struct bpf_iter__task_file *ctx)
{
	const struct sock *sk = iter_sock(ctx->file);
	struct task_struct *task = ctx->task;
	struct listener row = {};
	struct ip peer;

	if (!task || !sk || !sock_is_tcp(sk) || sock_state(sk) != BPF_TCP_LISTEN ||
	    !iter_wanted(task))
		return 0;
	row.pid = BPF_CORE_READ(task, tgid);
	row.fd = ctx->fd;
	row.uid = task_uid(task);
	row.netns = sock_netns(sk);
	row.cgroup = task_cgroup_id(task);
	row.start_ns = task_start_ns(task);
	BPF_CORE_READ_STR_INTO(&row.comm, task, comm);
	sock_addresses(sk, &row.local, &peer);
	row.local_port = sock_local_port(sk);
	row.backlog = listen_most(sk);
	row.queue = listen_queue(sk);
	row.syn_queue = listen_syn_queue(sk);
	row.drops = listen_drops(sk);
	row_write(ctx->meta->seq, &row);
	return 0;
}
