/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Servers on this machine that ask on, for net.dns: systemd-resolved, dnsmasq, unbound. Their query
 * is for that of a client when they ask the same (name, type and class) while the client waits for
 * them. Whose socket the client's query came to is known from who reads there, or replies from there.
 */
#pragma once

/* Who has asked: found again where his query arrives, if that is on this machine. */
struct client_key {
	u32 hash;
	u16 id;
	u16 port;
};
struct client {
	u64 socket;
	u32 pid;
	char comm[16];
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct client_key);
	__type(value, struct client);
} clients SEC(".maps");

/* Sockets that queries come to, with the process that has them; 0: not known yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u32);
} servers SEC(".maps");

/* The last query of its sort that a server has and hasn't answered. */
struct task_key {
	u32 hash;
	u32 pid; /* the server's; 0: not known then */
};
struct errand {
	u64 server; /* its socket */
	u64 asked_ns;
	struct client client;
	struct ip address;
	u16 port;
	u16 id;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct task_key);
	__type(value, struct errand);
} errands SEC(".maps");

static __always_inline u32 server_pid(u64 socket)
{
	u32 *pid = bpf_map_lookup_elem(&servers, &socket);

	return pid ? *pid : 0;
}

/* Somebody reads from a socket: if it is a server's, then he is the server. */
static __always_inline void serve_read(u64 socket)
{
	u32 *pid = bpf_map_lookup_elem(&servers, &socket);

	if (pid)
		*pid = BPF_CORE_READ(current_task(), tgid);
}

/* ---- the client ---- */

static __noinline int serve_client(struct bench *b)
{
	struct client_key key = {};
	struct client client = {};
	struct stream *s;

	if (!b)
		return 0;
	key.hash = b->query.question.hash;
	key.id = b->header.id;
	key.port = b->p.source;
	client.socket = b->key.socket;
	if (b->p.protocol == IPPROTO_UDP) {
		/* older kernels have no other helper for it in such programs */
		client.pid = BPF_CORE_READ(current_task(), tgid);
		BPF_CORE_READ_INTO(&client.comm, current_task(), comm);
	} else {
		s = stream_find(b->key.socket, true);
		if (!s)
			return 0;
		client.pid = s->task.pid;
		__builtin_memcpy(client.comm, s->task.comm, sizeof(client.comm));
	}
	return bpf_map_update_elem(&clients, &key, &client, BPF_ANY);
}

/* ---- the server's side of it ---- */

/* Over TCP the first message of a segment. */
static __noinline int serve_message(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);

	if (!b)
		return false;
	if (b->p.protocol == IPPROTO_TCP)
		b->at += 2;
	return message_begin(skb, b) && !(b->header.bits & DNS_OPCODE) && b->header.questions &&
	       message_question(skb, nth);
}

/* A query has come to a socket of this machine. */
__noinline int serve_asked(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct client_key client_key = {};
	struct errand errand = {};
	struct task_key key = {};
	struct client *client;

	if (!b || !serve_message(skb, nth) || (b->header.bits & DNS_IS_ANSWER) ||
	    packet_address(skb, b->p.version, true, &errand.address) ||
	    ip_is_multicast(&errand.address))
		return 0;
	packet_address(skb, b->p.version, false, &errand.address);
	errand.server = b->key.socket;
	errand.asked_ns = b->came_ns;
	errand.id = client_key.id = b->header.id;
	errand.port = client_key.port = b->p.source;
	key.hash = client_key.hash = b->query.question.hash;
	key.pid = server_pid(errand.server);
	if (!key.pid) /* there already, or asked for the first time */
		bpf_map_update_elem(&servers, &errand.server, &key.pid, BPF_NOEXIST);
	client = bpf_map_lookup_elem(&clients, &client_key);
	if (client)
		errand.client = *client;
	return bpf_map_update_elem(&errands, &key, &errand, BPF_ANY);
}

static __always_inline void errand_done(struct bench *b, u32 hash, u32 pid)
{
	struct task_key key = { .hash = hash, .pid = pid };
	struct errand *errand = bpf_map_lookup_elem(&errands, &key);

	if (errand && errand->id == b->header.id && errand->port == b->p.dest)
		bpf_map_delete_elem(&errands, &key);
}

/* A server of this machine has answered: what it asks from now on is not for that client. */
__noinline int serve_replied(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	u32 hash;

	if (!b || !serve_message(skb, nth) || !(b->header.bits & DNS_IS_ANSWER))
		return 0;
	if (b->p.protocol == IPPROTO_UDP)
		serve_read(b->key.socket);
	hash = b->query.question.hash;
	errand_done(b, hash, server_pid(b->key.socket));
	errand_done(b, hash, 0);
	return 0;
}

/* ---- the server's own query ---- */

static __noinline struct errand *errand_of(u32 hash, u32 pid)
{
	struct task_key key = { .hash = hash, .pid = pid };
	struct errand *errand = bpf_map_lookup_elem(&errands, &key);

	if (errand)
		return errand;
	key.pid = 0;
	errand = bpf_map_lookup_elem(&errands, &key);
	return errand && server_pid(errand->server) == pid ? errand : NULL;
}

/* Is the query on the bench for a client of the one who asks? */
static __noinline int serve_link(struct bench *b)
{
	struct query_key asked = {};
	struct errand *errand;
	struct query *q;
	struct dns *e;

	if (!b)
		return 0;
	e = &b->query.event;
	errand = errand_of(b->key.hash, e->task.pid);
	if (!errand || errand->client.pid == e->task.pid || b->came_ns - errand->asked_ns > timeout)
		return 0;
	e->for_pid = errand->client.pid;
	__builtin_memcpy(e->for_comm, errand->client.comm, sizeof(e->for_comm));
	e->for_address = errand->address;
	e->for_port = errand->port;
	e->for_id = errand->id;
	asked.socket = errand->client.socket;
	asked.hash = b->key.hash;
	asked.id = errand->id;
	q = bpf_map_lookup_elem(&pending, &asked);
	if (q)
		__sync_fetch_and_add(&q->event.forwards, 1);
	return 0;
}
