/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What net.dns remembers: open queries, the message being worked on, what sockets have asked, what
 * processes have asked before, where messages begin in TCP connections. Included behind the event.
 */
#pragma once

/* ---- open queries ---- */

struct query_key {
	u64 socket; /* cookie */
	u32 hash;   /* of the question */
	u32 id;
};
struct query {
	struct dns event; /* the row in the making */
	u64 first_ns, last_ns;
	u64 ended_ns;  /* the answer came; 0: not yet */
	u32 end_seq;   /* TCP: behind the answer's last byte */
	u32 addresses; /* found so far */
	struct dns_question question;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct query_key);
	__type(value, struct query);
} pending SEC(".maps");

/* ---- answers that nobody has read yet ---- */

/* The message as it came, so far as it lies in one packet; who shows it takes it apart. */
#define ANSWER_BYTES 1232 /* what servers put into a datagram, at most */
struct answer {
	u32 size;
	u32 whole_size;
	u8 bytes[ANSWER_BYTES];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 512);
	__type(key, struct query_key);
	__type(value, struct answer);
} unread SEC(".maps");

/* ---- the message being worked on ---- */

/*
 * A message is worked on here: too large for the stack. Claimed by counting, as event slots are.
 * The functions that are not static get its number and find the rest here: so the verifier checks
 * each of them once, and not again for every message that a segment may hold.
 */
struct bench {
	u64 claims;
	u64 sk; /* address of the packet's socket */
	struct packet p;
	u32 at, size; /* the message: where it begins, and its whole size */
	u32 end_seq;  /* TCP: behind its last byte */
	u32 server_port;
	u64 came_ns; /* or left */
	/* the walk over the records; here, the verifier doesn't try each value they can have */
	u32 records; /* seen so far */
	u32 cursor;
	u32 name_at; /* a compressed name: where the next label is read, and how much is written */
	u32 name_bytes;
	u32 jumped;
	struct dns_header header;
	struct query_key key;
	struct query query;
	struct answer answer;
};
#define BENCHES     128
#define BENCH_TRIES 4
#define NO_BENCH    BENCHES
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCHES);
	__type(key, u32);
	__type(value, struct bench);
} benches SEC(".maps");

static __always_inline struct bench *bench_at(u32 nth)
{
	return bpf_map_lookup_elem(&benches, &nth);
}

/* The number of a bench that is now the caller's, or NO_BENCH. Given back by bench_release(). */
static __noinline u32 bench_claim(void)
{
	u32 first = bpf_get_smp_processor_id(), nth;
	struct bench *b;

	for (u32 i = 0; i < BENCH_TRIES; i++) {
		nth = (first * BENCH_TRIES + i) & (BENCHES - 1);
		b = bench_at(nth);
		if (!b)
			break;
		__sync_fetch_and_add(&b->claims, 1);
		if (*(volatile u64 *)&b->claims == 1)
			return nth;
		__sync_fetch_and_add(&b->claims, -1);
	}
	return NO_BENCH;
}

static __always_inline void bench_release(struct bench *b)
{
	__sync_fetch_and_add(&b->claims, -1);
}

/* ---- what a socket has asked ---- */

/* What a socket asked last, and which answers wait to be read: hints, looked up in `pending`. */
#define HINTS 4
struct hint {
	u32 hash;
	u32 id; /* id + 1; 0: empty */
};
struct asker {
	u32 strays;
	u16 asked_at, answered_at;
	struct hint asked[HINTS];
	struct hint answered[HINTS];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct asker);
} askers SEC(".maps");

static __noinline int asker_note(const struct query_key *key, bool answered)
{
	struct asker *asker, none = {};
	struct hint hint = {};

	if (!key)
		return 0;
	asker = bpf_map_lookup_elem(&askers, &key->socket);
	if (!asker) {
		bpf_map_update_elem(&askers, &key->socket, &none, BPF_NOEXIST);
		asker = bpf_map_lookup_elem(&askers, &key->socket);
	}
	if (!asker)
		return 0;
	hint.hash = key->hash;
	hint.id = key->id + 1;
	if (answered)
		asker->answered[asker->answered_at++ & (HINTS - 1)] = hint;
	else
		asker->asked[asker->asked_at++ & (HINTS - 1)] = hint;
	return 0;
}

/* Some servers answer what they don't understand without the question: then the id must do. */
static __noinline int answer_guess(struct query_key *key)
{
	struct asker *asker;

	if (!key)
		return 0;
	asker = bpf_map_lookup_elem(&askers, &key->socket);
	if (!asker)
		return 0;
	for (int i = 0; i < HINTS; i++)
		if (asker->asked[i].id == key->id + 1)
			key->hash = asker->asked[i].hash;
	return 0;
}

/* ---- what a process has asked before ---- */

/* The same question with the same id by the same process, over whatever socket: glibc keeps the id
 * when it goes on to another server or to TCP. */
struct leg_key {
	u32 pid;
	u32 hash;
	u32 id;
};
struct leg {
	u64 first_ns, last_ns;
	u32 attempts;
	enum dns_retry ended;
};
#define LEG_FORGOTTEN_NS 60000000000ull
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct leg_key);
	__type(value, struct leg);
} legs SEC(".maps");

static __noinline int leg_end(const struct query_key *key, const struct query *q,
			      enum dns_retry ended)
{
	struct leg_key leg_key = {};
	struct leg *leg;

	if (!key || !q)
		return 0;
	leg_key.pid = q->event.task.pid;
	leg_key.hash = key->hash;
	leg_key.id = key->id;
	leg = bpf_map_lookup_elem(&legs, &leg_key);
	if (!leg)
		return 0;
	leg->ended = ended;
	leg->attempts = q->event.attempts;
	leg->last_ns = q->last_ns;
	if (ended == DNS_RETRY_NONE)
		bpf_map_delete_elem(&legs, &leg_key);
	return 0;
}

/* Carries over what the same question had behind it, and remembers it for the next leg. */
static __noinline int leg_begin(const struct query_key *key, struct query *q)
{
	struct leg_key leg_key = {};
	struct leg new = {}, *leg;

	if (!key || !q)
		return 0;
	leg_key.pid = q->event.task.pid;
	leg_key.hash = key->hash;
	leg_key.id = key->id;
	leg = bpf_map_lookup_elem(&legs, &leg_key);
	if (leg && q->last_ns - leg->last_ns < LEG_FORGOTTEN_NS) {
		q->first_ns = leg->first_ns;
		q->event.attempts += leg->attempts;
		q->event.retry_of = leg->ended;
	}
	new.first_ns = q->first_ns;
	new.last_ns = q->last_ns;
	new.attempts = q->event.attempts;
	new.ended = DNS_RETRY_SILENCE;
	bpf_map_update_elem(&legs, &leg_key, &new, BPF_ANY);
	return 0;
}

/* ---- TCP connections ---- */

/* One direction of a TCP connection. */
struct stream_key {
	u64 socket;
	u64 outbound;
};
struct stream {
	struct task task; /* outbound: who used the socket last */
	u32 unwanted;     /* by the filters */
	struct framing framing;
};
#define STREAM_MESSAGES 32
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct stream_key);
	__type(value, struct stream);
} streams SEC(".maps");

static __noinline struct stream *stream_find(u64 socket, bool outbound)
{
	struct stream_key key = {};

	key.socket = socket;
	key.outbound = outbound;
	return bpf_map_lookup_elem(&streams, &key);
}

static __noinline struct stream *stream_of(struct __sk_buff *skb, u32 seq, bool outbound)
{
	struct stream_key key = {};
	struct stream *s, new = {};

	key.socket = bpf_get_socket_cookie(skb);
	key.outbound = outbound;
	s = bpf_map_lookup_elem(&streams, &key);
	if (s)
		return s;
	new.framing.at = seq;
	new.unwanted = sonda_conf.sets_on != 0; /* until its user is known */
	bpf_map_update_elem(&streams, &key, &new, BPF_ANY);
	return bpf_map_lookup_elem(&streams, &key);
}

/* Who uses the socket? Only while it is owned by a thread is the current task one that does: acks
 * and timers send what was waiting in the name of whoever happens to run. */
static __noinline int stream_user(struct __sk_buff *skb, struct bench *b, struct stream *s)
{
	if (!b || !s)
		return 0;
	*(volatile u64 *)&b->sk = (u64)(long)skb->sk;
	if (!sock_owned((void *)*(volatile u64 *)&b->sk))
		return 0;
	task_now(&s->task);
	s->unwanted = (sonda_conf.self && s->task.pid == sonda_conf.self) ||
		      (sonda_conf.sets_on && !task_in_filters(current_task()));
	return 0;
}
