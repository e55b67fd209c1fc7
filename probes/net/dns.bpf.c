/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * DNS: a row for each query, when its answer has been read, an ICMP error came back, or nothing came.
 *
 * The packets of all sockets pass the two cgroup programs. A query is kept from when it leaves, in
 * the context of the thread that sends it, and is found again by its answer's socket, id and
 * question; never by the server's address, which address translation may have changed between. Only
 * the asking side is looked at, so that a query to a server on this machine is one row.
 */
#include "sonda.bpf.h"
#include "kernel/net.h"
#include "sonda/packet.h"
#include "sonda/dns.h"

PROBE(dns, "net", "DNS queries: what was asked, what came back, and how long it took");
FILTERS("task errors min");
PARAM(u16, port, 53, DOC("port that the servers listen at") RANGE(1, 65535));
PARAM(u64, timeout, 5000000000, KIND("duration")
	DOC("a query that has no answer after so long is told as timed out") RANGE(1000000, 3600000000000));

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_NAPTR = 35,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_DS = 43,
	DNS_TYPE_SSHFP = 44,
	DNS_TYPE_RRSIG = 46,
	DNS_TYPE_NSEC = 47,
	DNS_TYPE_DNSKEY = 48,
	DNS_TYPE_TLSA = 52,
	DNS_TYPE_SVCB = 64,
	DNS_TYPE_HTTPS = 65,
	DNS_TYPE_IXFR = 251,
	DNS_TYPE_AXFR = 252,
	DNS_TYPE_ANY = 255,
	DNS_TYPE_CAA = 257,
};
/* the server's code, or that there was none */
enum dns_result {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_YXDOMAIN = 6,
	DNS_YXRRSET = 7,
	DNS_NXRRSET = 8,
	DNS_NOTAUTH = 9,
	DNS_NOTZONE = 10,
	DNS_BADVERS = 16,
	DNS_BADCOOKIE = 23,
	DNS_TIMEOUT = 0x10000,
	DNS_UNREACHABLE = 0x10001,
};
enum dns_transport { DNS_OVER_UDP, DNS_OVER_TCP };
enum dns_flags {
	DNS_FLAG_CD = 0x010,
	DNS_FLAG_AD = 0x020,
	DNS_FLAG_RA = 0x080,
	DNS_FLAG_RD = 0x100,
	DNS_FLAG_TC = 0x200,
	DNS_FLAG_AA = 0x400,
};
#define DNS_FLAGS_ALL 0x7b0
/* how the same question of the same process ended before */
enum dns_retry { DNS_RETRY_NONE, DNS_RETRY_SILENCE, DNS_RETRY_TRUNCATED, DNS_RETRY_ERROR };

EVENT(dns, "One DNS query and what became of it") {
	struct task task;
	enum dns_type type DOC("type of record asked for");
	struct text name KIND("dns_name") DOC("name asked for, with dots, without the last");
	enum dns_result result DOC("the server's code; timeout or unreachable when it said none");
	struct ip address DOC("first address in the answer");
	struct ip address2 HIDE DOC("second address");
	struct ip address3 HIDE DOC("third address");
	struct ip address4 HIDE DOC("fourth address");
	u32 answers DOC("records in the answer");
	s64 ttl_s UNIT("s") HIDE DOC("least time to live of the records in the answer; -1: none");
	struct ip server DOC("server asked");
	u16 server_port KIND("port") HIDE DOC("port of the server");
	u16 id HIDE DOC("transaction id");
	enum dns_transport transport DOC("over UDP or TCP");
	u32 attempts DOC("times it was sent, counting earlier servers and the cut UDP answer");
	enum dns_retry retry_of HIDE
		DOC("the process had asked the same with this id: how that ended");
	u64 took_ns KIND("duration") DOC("from the first attempt to the answer, or to giving up");
	s64 wire_ns KIND("duration") HIDE
		DOC("from the last attempt to the (first segment of the) answer; -1: no answer");
	s64 app_ns KIND("duration") HIDE
		DOC("from the answer's arrival to when the process has read it; -1: not seen");
	u32 query_bytes KIND("bytes") HIDE DOC("size of the query");
	u32 answer_bytes KIND("bytes") HIDE DOC("size of the answer");
	u32 edns_bytes KIND("bytes") HIDE DOC("largest answer over UDP the query allows (EDNS); 0: no EDNS");
	enum dns_flags flags FLAGS HIDE DOC("bits of the answer; of the query when there is none");
	s32 err KIND("errno") HIDE DOC("error of the socket that ended the query, or 0");
	u32 class HIDE DOC("class asked for, 1: Internet");
	u32 strays HIDE
		DOC("answers to this socket so far that fit no open query: late, doubled or forged");
};

struct query_labels {
	char comm[16] KIND("comm") DOC("process that asks");
	struct ip server DOC("server asked");
	enum dns_type type DOC("type of record asked for");
	enum dns_result result DOC("the server's code, timeout or unreachable");
};
struct query_values {
	u64 queries COUNTER DOC("queries");
	u64 resent COUNTER DOC("queries that were sent more than once");
	HIST_LOG2(took_ns, 36, UNIT("ns") DOC("from the first attempt to the answer"));
};
METRICS(queries, struct query_labels, struct query_values, 2048, "DNS queries");
struct stray_labels {
	struct ip server DOC("where the answer came from");
};
struct stray_values {
	u64 answers COUNTER DOC("answers");
};
METRICS(strays, struct stray_labels, struct stray_values, 256,
	"Answers that fit no open query: late, doubled or forged");

/* ---- state ---- */

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

/* Queries are put together here: too large for the stack. Claimed by counting, as event slots are. */
struct bench {
	u64 claims;
	u64 sk; /* address of the packet's socket */
	struct query query;
};
#define BENCHES 128
#define BENCH_TRIES 4
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCHES);
	__type(key, u32);
	__type(value, struct bench);
} benches SEC(".maps");

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
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct asker);
} askers SEC(".maps");

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
	__uint(max_entries, 4096);
	__type(key, struct leg_key);
	__type(value, struct leg);
} legs SEC(".maps");

/* One direction of a TCP connection: where the next message, or its length, begins. */
struct stream_key {
	u64 socket;
	u64 outbound;
};
struct stream {
	struct task task; /* outbound: who used the socket last */
	u32 unwanted;     /* by the filters */
	u32 at;           /* sequence number of the next byte to look at */
	u16 size;         /* of the message */
	u16 have;         /* bytes of that size already seen: 0 to 2 */
};
#define STREAM_MESSAGES 8
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct stream_key);
	__type(value, struct stream);
} streams SEC(".maps");

static __noinline struct bench *bench_claim(void)
{
	u32 first = bpf_get_smp_processor_id(), at;
	struct bench *b;

	for (u32 i = 0; i < BENCH_TRIES; i++) {
		at = (first * BENCH_TRIES + i) & (BENCHES - 1);
		b = bpf_map_lookup_elem(&benches, &at);
		if (!b)
			break;
		__sync_fetch_and_add(&b->claims, 1);
		if (*(volatile u64 *)&b->claims == 1)
			return b;
		__sync_fetch_and_add(&b->claims, -1);
	}
	return NULL;
}

static __always_inline void bench_release(struct bench *b)
{
	__sync_fetch_and_add(&b->claims, -1);
}

/* ---- the end of a query ---- */

static __noinline int name_text(struct dns *e, const struct query *q)
{
	struct event_slot *slot;
	u32 begin, n;

	if (!e || !q)
		return 0;
	slot = event_slot_of(e);
	begin = *(volatile u32 *)&slot->tail;
	n = q->question.name_bytes > 2 ? q->question.name_bytes - 2 : 0;
	if (begin > EVENT_MAX - sizeof(q->question.name) || n > DNS_NAME_MAX)
		return 0;
	if (n)
		bpf_probe_read_kernel(&slot->body[begin], n, &q->question.name[1]);
	else
		slot->body[begin] = '.';
	slot->tail = begin + (n ? n : 1);
	return slot_text_end(slot, __builtin_offsetof(struct dns, name), begin);
}

static __noinline struct dns *query_event(const struct query_key *key, const struct query *q)
{
	struct asker *asker;
	struct dns *e;

	if (!key || !q)
		return NULL;
	e = event_new(dns);
	if (!e)
		return NULL;
	*e = q->event;
	name_text(e, q);
	asker = bpf_map_lookup_elem(&askers, &key->socket);
	if (asker)
		e->strays = asker->strays;
	event_slot_of(e)->record.at_ns = q->ended_ns;
	return e;
}

static __noinline int query_count(struct query_labels *labels, u64 took_ns, u32 attempts)
{
	struct query_values *v;

	if (!labels)
		return 0;
	v = row_of(queries, labels);
	if (!v)
		return 0;
	add(v->queries, 1);
	if (attempts > 1)
		add(v->resent, 1);
	observe(v->took_ns, took_ns);
	return 0;
}

/* Tells of an ended query and forgets it. Whoever deletes it from the table tells. */
static __noinline int query_end(void *ctx, struct query_key *key, struct query *q)
{
	struct query_labels labels = {};
	struct dns *e = NULL;
	u64 took_ns;
	u32 attempts;

	if (!key || !q)
		return 0;
	if (events_wanted())
		e = query_event(key, q);
	__builtin_memcpy(labels.comm, q->event.task.comm, sizeof(labels.comm));
	labels.server = q->event.server;
	labels.type = q->event.type;
	labels.result = q->event.result;
	took_ns = q->event.took_ns;
	attempts = q->event.attempts;
	if (bpf_map_delete_elem(&pending, key) ||
	    !notable(labels.result == DNS_NOERROR ? 0 : -EIO, took_ns)) {
		if (e)
			__sync_fetch_and_add(&event_slot_of(e)->claims, -1);
		return 0;
	}
	if (tables_wanted())
		query_count(&labels, took_ns, attempts);
	if (e)
		event_send(ctx, e);
	return 0;
}

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

/* ---- queries that leave ---- */

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

/* Largest answer over UDP that the query's EDNS record allows. */
static __noinline u32 query_edns(struct __sk_buff *skb, u32 at, u32 end)
{
	struct dns_record record = {};

	if (dns_step(skb, &at, end, &record) == 1 && record.type == DNS_TYPE_OPT)
		return record.class;
	return 0;
}

static __noinline int query_fill(struct __sk_buff *skb, const struct packet *p,
				 const struct dns_header *h, struct query *q)
{
	struct dns *e;

	if (!p || !h || !q)
		return 0;
	e = &q->event;
	q->first_ns = q->last_ns = bpf_ktime_get_boot_ns();
	e->type = q->question.type;
	e->class = q->question.class;
	e->result = DNS_TIMEOUT;
	e->ttl_s = e->wire_ns = e->app_ns = -1;
	e->server_port = p->dest;
	packet_address(skb, p->version, true, &e->server);
	e->id = h->id;
	e->transport = p->protocol == PROTO_TCP ? DNS_OVER_TCP : DNS_OVER_UDP;
	e->attempts = 1;
	e->flags = h->bits & DNS_FLAGS_ALL;
	if (h->additionals && !h->answers && !h->authorities)
		e->edns_bytes = query_edns(skb, q->question.next, p->end);
	return 0;
}

/* The question of a query that leaves has been read: is it new, or sent again? */
static __noinline int query_keep(struct __sk_buff *skb, const struct packet *p,
				 const struct dns_header *h, struct query *q,
				 const struct stream *stream)
{
	struct query_key key = {};
	struct query *old;

	if (!p || !h || !q)
		return 0;
	key.socket = bpf_get_socket_cookie(skb);
	key.hash = q->question.hash;
	key.id = h->id;
	old = bpf_map_lookup_elem(&pending, &key);
	if (old) {
		old->last_ns = bpf_ktime_get_boot_ns();
		old->ended_ns = 0; /* had it been answered, then in vain */
		old->event.attempts++;
		return 0;
	}
	query_fill(skb, p, h, q);
	if (stream)
		q->event.task = stream->task;
	else
		task_now(&q->event.task);
	leg_begin(&key, q);
	if (bpf_map_update_elem(&pending, &key, q, BPF_NOEXIST))
		return count_lost(LOSS_STATE);
	return asker_note(&key, false);
}

/* A message that leaves for a server. `size`: whole, of which the packet may hold only a part. */
static __noinline int query_sent(struct __sk_buff *skb, const struct packet *p, u32 at, u32 size,
				 const struct stream *stream)
{
	struct dns_header h;
	struct bench *b;

	if (!p || !dns_header_read(skb, at, &h) || (h.bits & (DNS_IS_ANSWER | DNS_OPCODE)) ||
	    !h.questions)
		return 0;
	if (stream && stream->unwanted)
		return count_filtered();
	if (!stream && !wanted_task(current_task()))
		return 0;
	b = bench_claim();
	if (!b)
		return count_lost(LOSS_BUSY);
	__builtin_memset(&b->query, 0, sizeof(b->query) - sizeof(b->query.question));
	b->query.event.query_bytes = size;
	if (dns_question_read(skb, at + sizeof(h), p->end, &b->query.question))
		query_keep(skb, p, &h, &b->query, stream);
	bench_release(b);
	return 0;
}

/* ---- answers that arrive ---- */

static __always_inline void answer_address(struct __sk_buff *skb, struct query *q,
					   const struct dns_record *r)
{
	struct ip *to;

	if (q->addresses > 3)
		return;
	to = &q->event.address + (q->addresses & 3);
	if (r->type == DNS_TYPE_A && r->size == 4) {
		to->family = AF_INET;
		bpf_skb_load_bytes(skb, r->data, to->bytes, 4);
	} else if (r->type == DNS_TYPE_AAAA && r->size == 16) {
		to->family = AF_INET6;
		bpf_skb_load_bytes(skb, r->data, to->bytes, 16);
	} else {
		return;
	}
	q->addresses++;
}

/* Addresses and times to live from the answer section, the upper part of the result from EDNS. */
#define ANSWER_STEPS 64
static __noinline int answer_records(struct __sk_buff *skb, const struct dns_header *h, u32 end,
				     u32 at, struct query *q)
{
	struct dns_record r = {};
	u32 seen = 0;
	int step;

	if (!h || !q)
		return 0;
	for (int i = 0; i < ANSWER_STEPS; i++) {
		step = dns_step(skb, &at, end, &r);
		if (step < 0)
			break;
		if (!step)
			continue;
		if (seen < h->answers) {
			answer_address(skb, q, &r);
			if (q->event.ttl_s < 0 || r.ttl_s < q->event.ttl_s)
				q->event.ttl_s = r.ttl_s;
		} else if (r.type == DNS_TYPE_OPT) {
			q->event.result |= r.ttl_s >> 24 << 4;
		}
		seen++;
	}
	return 0;
}

static __noinline int answer_take(struct __sk_buff *skb, const struct packet *p,
				  const struct dns_header *h, u32 next, struct query *q)
{
	u64 now_ns = bpf_ktime_get_boot_ns();
	struct dns *e;

	if (!p || !h || !q)
		return 0;
	e = &q->event;
	e->result = h->bits & DNS_BITS_RCODE;
	e->flags = h->bits & DNS_FLAGS_ALL;
	e->answers = h->answers;
	e->took_ns = now_ns - q->first_ns;
	e->wire_ns = now_ns - q->last_ns;
	if (next)
		answer_records(skb, h, p->end, next, q);
	*(volatile u64 *)&q->ended_ns = now_ns;
	return 0;
}

static __noinline int stray_count(struct __sk_buff *skb, u64 socket, u8 version)
{
	struct stray_labels labels = {};
	struct asker *asker = bpf_map_lookup_elem(&askers, &socket);
	struct stray_values *v;

	/* an answer for somebody the filters leave out is none of ours */
	if (!asker)
		return 0;
	__sync_fetch_and_add(&asker->strays, 1);
	if (!tables_wanted())
		return 0;
	packet_address(skb, version, false, &labels.server);
	v = row_of(strays, &labels);
	if (v)
		add(v->answers, 1);
	return 0;
}

/* Some servers answer what they don't understand without repeating the question: then the id must do. */
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

static __always_inline enum dns_retry answer_means(const struct query *q)
{
	if (q->event.flags & DNS_FLAG_TC)
		return DNS_RETRY_TRUNCATED;
	if (q->event.result == DNS_NOERROR || q->event.result == DNS_NXDOMAIN)
		return DNS_RETRY_NONE;
	return DNS_RETRY_ERROR;
}

static __noinline int answer_match(struct __sk_buff *skb, const struct packet *p,
				   const struct dns_header *h, struct dns_question *question, u32 size)
{
	struct query_key key = {};
	struct query *q;

	if (!p || !h || !question)
		return 0;
	key.socket = bpf_get_socket_cookie(skb);
	key.id = h->id;
	key.hash = question->hash;
	if (!h->questions)
		answer_guess(&key);
	q = bpf_map_lookup_elem(&pending, &key);
	if (!q || q->ended_ns)
		return stray_count(skb, key.socket, p->version);
	q->event.answer_bytes = size;
	q->end_seq = p->seq;
	answer_take(skb, p, h, h->questions ? question->next : 0, q);
	leg_end(&key, q, answer_means(q));
	return asker_note(&key, true);
}

/* A message that arrives from a server; `p->seq` is behind its last byte. */
static __noinline int answer_came(struct __sk_buff *skb, const struct packet *p, u32 at, u32 size)
{
	struct dns_header h;
	struct bench *b;

	if (!p || !dns_header_read(skb, at, &h) || !(h.bits & DNS_IS_ANSWER))
		return 0;
	b = bench_claim();
	if (!b)
		return 0;
	if (!h.questions ||
	    dns_question_read(skb, at + sizeof(h), p->end, &b->query.question))
		answer_match(skb, p, &h, &b->query.question, size);
	bench_release(b);
	return 0;
}

/* ---- packets ---- */

/* Who uses the socket? Only while it is owned by a thread is the current task one that does: acks
 * and timers send what was waiting in the name of whoever happens to run. */
static __noinline int stream_user(struct __sk_buff *skb, struct stream *s)
{
	struct bench *b = bench_claim();
	bool owned;

	if (!s || !b)
		return 0;
	*(volatile u64 *)&b->sk = (u64)(long)skb->sk;
	owned = sock_owned((void *)*(volatile u64 *)&b->sk);
	bench_release(b);
	if (!owned)
		return 0;
	task_now(&s->task);
	s->unwanted = (sonda_conf.self && s->task.pid == sonda_conf.self) ||
		      (sonda_conf.sets_on && !task_in_filters(current_task()));
	return 0;
}

static __noinline struct stream *stream_of(struct __sk_buff *skb, const struct packet *p,
					   bool outbound)
{
	struct stream_key key = {};
	struct stream *s, new = {};

	if (!p)
		return NULL;
	key.socket = bpf_get_socket_cookie(skb);
	key.outbound = outbound;
	s = bpf_map_lookup_elem(&streams, &key);
	if (!s) {
		new.at = p->seq;
		bpf_map_update_elem(&streams, &key, &new, BPF_ANY);
		s = bpf_map_lookup_elem(&streams, &key);
	}
	return s;
}

/* Reads the two bytes before a message, which may come one by one. Advances `*off`. */
static __always_inline bool stream_size(struct __sk_buff *skb, const struct packet *p,
					struct stream *s, u32 *off)
{
	u8 byte;

	for (int i = 0; i < 2; i++) {
		if (s->have >= 2)
			return true;
		if (p->payload + *off >= p->end ||
		    bpf_skb_load_bytes(skb, p->payload + *off, &byte, 1))
			return false;
		s->size = s->size << 8 | byte;
		s->have++;
		s->at++;
		*off += 1;
	}
	return s->have >= 2;
}

/* Messages in a segment: those whose header and question lie in it. */
static __noinline int stream_messages(struct __sk_buff *skb, struct packet *p, struct stream *s,
				      bool outbound)
{
	u32 seq, off;

	if (!p || !s)
		return 0;
	seq = p->seq;
	if ((s32)(seq - s->at) > 0) { /* a segment was missed */
		s->at = seq;
		s->have = 0;
	}
	for (int i = 0; i < STREAM_MESSAGES; i++) {
		off = s->at - seq;
		if (off >= p->end - p->payload || !stream_size(skb, p, s, &off) ||
		    p->payload + off >= p->end)
			break;
		s->at += s->size;
		s->have = 0;
		p->seq = s->at;
		if (outbound)
			query_sent(skb, p, p->payload + off, s->size, s);
		else
			answer_came(skb, p, p->payload + off, s->size);
	}
	return 0;
}

static __noinline int segment_seen(struct __sk_buff *skb, struct packet *p, bool outbound)
{
	struct stream *s;

	if (!p)
		return 0;
	if (p->payload == p->end && !(p->tcp_flags & TCP_SYN))
		return 0;
	s = stream_of(skb, p, outbound);
	if (!s)
		return 0;
	if (outbound)
		stream_user(skb, s);
	return stream_messages(skb, p, s, outbound);
}

static __always_inline int packet_seen(struct __sk_buff *skb, struct packet *p, bool outbound)
{
	if (!packet_payload(skb, p))
		return 0;
	if (p->protocol == PROTO_TCP)
		return segment_seen(skb, p, outbound);
	if (outbound)
		return query_sent(skb, p, p->payload, p->end - p->payload, NULL);
	return answer_came(skb, p, p->payload, p->end - p->payload);
}

NEED("cgroup2") SEC("cgroup_skb/egress") int dns_egress(struct __sk_buff *skb)
{
	struct packet p = {};

	if (packet_ports(skb, &p) && p.dest == port)
		packet_seen(skb, &p, true);
	return 1;
}

NEED("cgroup2") SEC("cgroup_skb/ingress") int dns_ingress(struct __sk_buff *skb)
{
	struct packet p = {};

	if (packet_ports(skb, &p) && p.source == port)
		packet_seen(skb, &p, false);
	return 1;
}

/* ---- the process reads the answer ---- */

/* Has the process read it, with `got` bytes now? A datagram is known by its size. */
static __always_inline bool answer_was_read(const struct query *q, const struct sock___net *sk, u32 got)
{
	if (q->event.transport == DNS_OVER_UDP)
		return q->event.answer_bytes == got;
	return (s32)(sock_copied_seq(sk) - q->end_seq) >= 0;
}

static __noinline int answer_read(void *ctx, struct sock___net *sk, int got, int flags)
{
	struct query_key key = {};
	struct asker *asker;
	struct query *q;
	struct hint *hint;
	bool datagram;
	u32 next;

	if (got <= 0 || (flags & MSG_PEEK))
		return 0;
	key.socket = sock_cookie(sk);
	if (!key.socket)
		return 0;
	asker = bpf_map_lookup_elem(&askers, &key.socket);
	if (!asker)
		return 0;
	next = asker->answered_at;
	for (u32 i = 0; i < HINTS; i++) {
		hint = &asker->answered[(next + i) & (HINTS - 1)];
		if (!hint->id)
			continue;
		key.hash = hint->hash;
		key.id = hint->id - 1;
		q = bpf_map_lookup_elem(&pending, &key);
		if (!q || !q->ended_ns) {
			hint->id = 0;
			continue;
		}
		if (!answer_was_read(q, sk, got))
			continue;
		hint->id = 0;
		q->event.app_ns = bpf_ktime_get_boot_ns() - q->ended_ns;
		datagram = q->event.transport == DNS_OVER_UDP;
		query_end(ctx, &key, q);
		if (datagram)
			break;
	}
	return 0;
}

ALT(read, 1) OPTIONAL("when the process has read an answer") NEED("tp sock/sock_recv_length")
SEC("?tp_btf/sock_recv_length") int BPF_PROG(dns_read, struct sock___net *sk, int ret, int flags)
{
	return answer_read(ctx, sk, ret, flags);
}

/* before 6.3 */
ALT(read, 2) OPTIONAL("when the process has read an answer")
SEC("?fexit/inet_recvmsg") int BPF_PROG(dns_read4, struct socket___net *sock, void *message,
					u64 size, int flags, int ret)
{
	return answer_read(ctx, BPF_CORE_READ(sock, sk), ret, flags);
}
ALT(read, 2) OPTIONAL("when the process has read an answer")
SEC("?fexit/inet6_recvmsg") int BPF_PROG(dns_read6, struct socket___net *sock, void *message,
					 u64 size, int flags, int ret)
{
	return answer_read(ctx, BPF_CORE_READ(sock, sk), ret, flags);
}

/* ---- the socket gets an error: an ICMP message, or the connection is reset ---- */

static __noinline int socket_failed(void *ctx, const struct sock___net *sk)
{
	struct query_key key = {};
	struct asker *asker;
	struct query *q;
	u64 now_ns;

	key.socket = sock_cookie(sk);
	if (!key.socket)
		return 0;
	asker = bpf_map_lookup_elem(&askers, &key.socket);
	if (!asker)
		return 0;
	now_ns = bpf_ktime_get_boot_ns();
	for (int i = 0; i < HINTS; i++) {
		if (!asker->asked[i].id)
			continue;
		key.hash = asker->asked[i].hash;
		key.id = asker->asked[i].id - 1;
		q = bpf_map_lookup_elem(&pending, &key);
		if (!q || q->ended_ns)
			continue;
		q->event.result = DNS_UNREACHABLE;
		q->event.err = -sock_error(sk);
		q->event.took_ns = now_ns - q->first_ns;
		q->ended_ns = now_ns;
		leg_end(&key, q, DNS_RETRY_ERROR);
		query_end(ctx, &key, q);
	}
	return 0;
}

ALT(error, 1) OPTIONAL("ICMP errors: they are told as timeouts") NEED("tp sock/inet_sk_error_report")
SEC("?tp_btf/inet_sk_error_report") int BPF_PROG(dns_error, struct sock___net *sk)
{
	return socket_failed(ctx, sk);
}

/* before 5.14 */
ALT(error, 2) OPTIONAL("ICMP errors: they are told as timeouts")
SEC("?fentry/sock_def_error_report") int BPF_PROG(dns_error_report, struct sock___net *sk)
{
	return socket_failed(ctx, sk);
}

/* ---- nothing came ---- */

/* A resolver that tries again after exactly `timeout` (glibc: 5 s) is to be heard first. */
#define TIMEOUT_GRACE_NS 250000000
/* An answer that nobody has read after so long is told without the time of reading. */
#define UNREAD_NS 100000000

OVER(pending) EVERY(250) SEC("iter/bpf_map_elem") int dns_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 now_ns = bpf_ktime_get_boot_ns();
	struct query_key key, *at = ctx->key;
	struct query *q;

	if (!at)
		return 0;
	__builtin_memcpy(&key, at, sizeof(key));
	q = bpf_map_lookup_elem(&pending, &key);
	if (!q)
		return 0;
	if (q->ended_ns) {
		if ((s64)(now_ns - q->ended_ns) < UNREAD_NS)
			return 0;
	} else {
		if ((s64)(now_ns - q->last_ns) < (s64)timeout + TIMEOUT_GRACE_NS)
			return 0;
		q->event.took_ns = q->last_ns + timeout - q->first_ns;
		q->ended_ns = now_ns;
	}
	return query_end(ctx, &key, q);
}
