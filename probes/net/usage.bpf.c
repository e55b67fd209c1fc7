/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who uses the network over TCP. Sockets count their bytes themselves; that is taken over once a second
 * and when a connection ends. No hook fires for a packet or a call, so it can always be on. UDP sockets
 * count nothing: net.udp and net.flow look at each packet.
 *
 * A connection belongs to the process that connects. One that is accepted belongs at first to the
 * process that listens, and to the one that has the socket as soon as a look at all open files, every
 * five seconds, or its close tells which that is.
 */
#include "sonda.bpf.h"

#include "sonda/sockets.h"

PROBE(usage, "net", "Bytes that processes send and receive over TCP, as their sockets count them");
FILTERS("task");

struct usage_labels {
	char comm[16] KIND("comm") DOC("command name of the process that has the connection");
	u32 port KIND("port") DOC("port of the service: of the end that listens");
	u32 pid KIND("pid") HIDE DOC("process; 0: not known yet");
	struct ip peer HIDE DOC("address of the other end");
	u32 uid KIND("uid") HIDE DOC("user it runs as");
	u32 pad HIDE;
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct usage_values {
	u64 payload_bytes COUNTER UNIT("bytes") DOC("the sum of the next two");
	u64 sent_bytes COUNTER UNIT("bytes") DOC("payload sent, once however often sent");
	u64 received_bytes COUNTER UNIT("bytes") DOC("payload received in order");
	u64 retransmits COUNTER DOC("segments sent again, SYN included");
	u64 begun COUNTER DOC("connections that began");
	u64 open GAUGE DOC("connections that there are");
};
METRICS(usage, struct usage_labels, struct usage_values, 8192, "TCP traffic by process and service");

/* What a socket has counted itself. */
struct totals {
	u64 sent_bytes;
	u64 received_bytes;
	u64 retransmits;
};
struct connection {
	struct task owner; /* its process; nobody: not known yet */
	struct totals told;
	bool sure;     /* that it is the owner, not only who listens */
	bool unwanted; /* by a filter, or sonda's own */
	bool established;
	bool counted; /* among those open */
	bool serves;  /* it was accepted, not made, by this end */
	bool before;  /* it was there before, and which end this is can't be told yet */
	u8 pad[2];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768); /* the walk goes over that many places, 40 us for each 2048 */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64); /* struct sock */
	__type(value, struct connection);
} connections SEC(".maps");

/* Who listens: at a port of a network namespace. */
struct place {
	u32 netns;
	u32 port;
};
struct listener {
	struct task owner;
	u64 unwanted;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct place);
	__type(value, struct listener);
} listeners SEC(".maps");

static const struct connection new_connection;

static __always_inline struct place place_of(const struct sock *sk)
{
	return (struct place){ .netns = sock_netns(sk), .port = sock_local_port(sk) };
}

/* --- the table --- */

static __noinline struct usage_values *row_of_connection(const struct sock *sk,
							  const struct connection *c)
{
	struct usage_labels key = {};
	struct ip local = {};

	if (!c)
		return NULL;
	if (label(usage, 0))
		__builtin_memcpy(key.comm, c->owner.comm, sizeof(key.comm));
	if (label(usage, 1))
		key.port = c->serves ? sock_local_port(sk) : sock_peer_port(sk);
	if (label(usage, 2))
		key.pid = c->owner.pid;
	if (label(usage, 3))
		sock_addresses(sk, &local, &key.peer);
	if (label(usage, 4))
		key.uid = c->owner.uid;
	if (label(usage, 6))
		key.cgroup = c->owner.cgroup;
	return row_of(usage, &key);
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

static __always_inline void totals_grown(struct connection *c, const struct sock *sk,
					 struct totals *more)
{
	more->sent_bytes = grown(&c->told.sent_bytes, tcp_sent_bytes(sk));
	more->received_bytes = grown(&c->told.received_bytes, tcp_received_bytes(sk));
	more->retransmits = grown(&c->told.retransmits, tcp_retransmits(sk));
}

/* Takes over what the socket has counted, and how many connections there are: `open` is 1 as long as
 * it is one. */
static __noinline int take_over(const struct sock *sk, struct connection *c, u64 open)
{
	struct totals more = {};
	struct usage_values *row;

	if (!c || c->unwanted || c->before)
		return 0;
	totals_grown(c, sk, &more);
	open = open && c->established;
	if (!more.sent_bytes && !more.received_bytes && !more.retransmits && open == c->counted)
		return 0;
	row = row_of_connection(sk, c);
	if (!row)
		return 0;
	add(row->payload_bytes, more.sent_bytes + more.received_bytes);
	add(row->sent_bytes, more.sent_bytes);
	add(row->received_bytes, more.received_bytes);
	add(row->retransmits, more.retransmits);
	add(row->open, open - c->counted);
	c->counted = open;
	return 0;
}

static __noinline int count_begun(const struct sock *sk, struct connection *c)
{
	struct usage_values *row;

	if (!c || c->unwanted)
		return 0;
	row = row_of_connection(sk, c);
	if (row)
		add(row->begun, 1);
	return take_over(sk, c, 1);
}

/* --- whose a connection is --- */

static __always_inline bool is_unwanted(struct task_struct *task)
{
	if (sonda_conf.self && BPF_CORE_READ(task, tgid) == sonda_conf.self)
		return true;
	return sonda_conf.sets_on && !task_in_filters(task);
}

static __noinline int owned_by(const struct sock *sk, struct connection *c, struct task_struct *task)
{
	if (!c)
		return 0;
	take_over(sk, c, 0); /* so far it was another's */
	task_fill(&c->owner, BPF_CORE_READ(task, group_leader));
	c->unwanted = is_unwanted(task);
	c->sure = true;
	return take_over(sk, c, 1);
}

static __noinline int owned_by_listener(const struct sock *sk, struct connection *c)
{
	struct place place = place_of(sk);
	struct listener *l = bpf_map_lookup_elem(&listeners, &place);

	if (!c)
		return 0;
	if (l) {
		c->owner = l->owner;
		c->unwanted = l->unwanted;
	} else {
		c->unwanted = sonda_conf.sets_on;
	}
	c->serves = true;
	return 0;
}

static __noinline int listened_by(const struct sock *sk, struct task_struct *task)
{
	struct place place = place_of(sk);
	struct listener l = { .unwanted = is_unwanted(task) };

	task_fill(&l.owner, BPF_CORE_READ(task, group_leader));
	bpf_map_update_elem(&listeners, &place, &l, BPF_ANY);
	return 0;
}

/* --- its life --- */

static __noinline struct connection *connection_new(u64 key)
{
	if (bpf_map_update_elem(&connections, &key, &new_connection, BPF_ANY))
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&connections, &key);
}

static __noinline int connects(const struct sock *sk)
{
	struct connection *c = connection_new((u64)sk);

	return c ? owned_by(sk, c, current_task()) : 0;
}

static __noinline int established(const struct sock *sk)
{
	u64 key = (u64)sk;
	struct connection *c = bpf_map_lookup_elem(&connections, &key);

	if (!c) {
		c = connection_new(key);
		owned_by_listener(sk, c);
	}
	if (!c)
		return 0;
	c->established = true;
	return count_begun(sk, c);
}

/* Who closes it has it. */
static __noinline int closing(const struct sock *sk)
{
	u64 key = (u64)sk;
	struct connection *c = bpf_map_lookup_elem(&connections, &key);

	return c && !c->sure && sock_is_owned(sk) ? owned_by(sk, c, current_task()) : 0;
}

static __noinline int ended(const struct sock *sk)
{
	u64 key = (u64)sk;
	struct connection *c = bpf_map_lookup_elem(&connections, &key);

	if (!c)
		return 0;
	take_over(sk, c, 0);
	return bpf_map_delete_elem(&connections, &key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, const struct sock *sk, int old, int new)
{
	if (!sock_is_tcp(sk))
		return 0;
	if (new == BPF_TCP_SYN_SENT)
		connects(sk);
	else if (new == BPF_TCP_ESTABLISHED)
		established(sk);
	else if (new == BPF_TCP_FIN_WAIT1 || new == BPF_TCP_LAST_ACK)
		closing(sk);
	else if (new == BPF_TCP_CLOSE)
		ended(sk);
	else if (new == BPF_TCP_LISTEN)
		listened_by(sk, current_task());
	return 0;
}

/* The kernel skips set_state when it was running on this CPU already. */
SEC("tp_btf/tcp_destroy_sock") int BPF_PROG(destroyed, const struct sock *sk)
{
	return ended(sk);
}

/* --- now and then --- */

static __always_inline bool is_connection(u32 state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_FIN_WAIT1 ||
	       state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_CLOSE_WAIT ||
	       state == BPF_TCP_LAST_ACK || state == BPF_TCP_CLOSING;
}

static __noinline int socket_seen(struct task_struct *task, const struct sock *sk)
{
	u32 state = sock_state(sk);
	struct totals before = {};
	struct connection *c;
	u64 key = (u64)sk;

	if (state == BPF_TCP_LISTEN)
		return listened_by(sk, task);
	if (!is_connection(state))
		return 0;
	c = bpf_map_lookup_elem(&connections, &key);
	if (!c) { /* it was there before */
		c = connection_new(key);
		if (!c)
			return 0;
		totals_grown(c, sk, &before);
		c->established = c->before = true;
	}
	return c->sure ? 0 : owned_by(sk, c, task);
}

AT_START EVERY(5000) SEC("iter/task_file") int each_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sock *sk = iter_sock(ctx->file);

	return task && sk && sock_is_tcp(sk) ? socket_seen(task, sk) : 0;
}

static __noinline int connection_seen(const struct sock *sk, struct connection *c)
{
	struct place place = place_of(sk);

	if (!c)
		return 0;
	if (c->before) /* by now all who listen are known */
		c->serves = bpf_map_lookup_elem(&listeners, &place) != NULL;
	c->before = false;
	return take_over(sk, c, 1);
}

OVER(connections)
AT_START EVERY(1000) AT_READING
SEC("iter/bpf_map_elem")
int each_second(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 *key = ctx->key, address;

	if (!key)
		return 0;
	address = *key;
	return connection_seen((const struct sock *)address,
			       bpf_map_lookup_elem(&connections, &address));
}
