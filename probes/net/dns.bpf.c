/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * DNS: a row for each query: when its answer was read, an ICMP error came back, or nothing came.
 *
 * The packets of all sockets pass the two cgroup programs. A query is kept from when it leaves, in
 * the context of the thread that sends it, and is found again by its answer's socket, id and
 * question; never by the server's address, which address translation may have changed between. Only
 * the asking side is looked at, so that a query to a server on this machine is one row.
 */
#include "sonda.bpf.h"
#include "kernel/iter.h"
#include "kernel/net.h"
#include "sonda/packet.h"
#include "sonda/dns.h"
#include "sonda/framing.h"

/* clang-format off */
PROBE(dns, "net", "DNS queries: what was asked, what came back, and how long it took");
FILTERS("task errors min");
PARAM(u16, port, 53, DOC("port that the servers listen at") RANGE(1, 65535));
PARAM(u64, timeout, 5000000000, KIND("duration")
	RANGE(1000000, 3600000000000) DOC("a query unanswered for so long is told as timed out"));

enum dns_transport { DNS_OVER_UDP, DNS_OVER_TCP };
/* how the same question of the same process ended before */
enum dns_retry { DNS_RETRY_NONE, DNS_RETRY_SILENCE, DNS_RETRY_TRUNCATED, DNS_RETRY_ERROR };

EVENT(dns, "One DNS query and what became of it") {
	struct task task;
	enum dns_type type DOC("type of record asked for");
	struct text name KIND("dns_name") DOC("name asked for, with dots, without the last");
	enum dns_result result
		DOC("the server's code; timeout, unreachable, or unanswered when sonda ended first");
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
	u32 edns_bytes KIND("bytes") HIDE
		DOC("largest answer over UDP the query allows (EDNS); 0: no EDNS");
	enum dns_flags flags FLAGS HIDE DOC("bits of the answer; of the query when there is none");
	s32 err KIND("errno") HIDE DOC("error of the socket that ended the query, or 0");
	u32 class HIDE DOC("class asked for, 1: Internet");
	u32 strays HIDE
		DOC("answers to this socket that fitted no open query: late, doubled or forged");
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

/* clang-format on */

#include "dns_state.h"

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
	if (begin > EVENT_MAX - DNS_NAME_MAX - 1 || n > DNS_NAME_MAX)
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

/* ---- the message on the bench ---- */

static __noinline int message_begin(struct __sk_buff *skb, struct bench *b)
{
	if (!b || !dns_header_read(skb, b->at, &b->header))
		return false;
	b->key.socket = bpf_get_socket_cookie(skb);
	b->key.id = b->header.id;
	return true;
}

__noinline int message_question(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);

	return b && dns_question_read(skb, b->at + sizeof(b->header), b->p.end, &b->query.question);
}

/* ---- queries that leave ---- */

/* Largest answer over UDP that the query's EDNS record allows. */
static __noinline u32 query_edns(struct __sk_buff *skb, u32 at, u32 end)
{
	struct dns_record record = {};

	if (dns_step(skb, &at, end, &record) == 1 && record.type == DNS_TYPE_OPT)
		return record.class;
	return 0;
}

static __noinline int query_fill(struct __sk_buff *skb, struct bench *b)
{
	struct query *q;
	struct dns *e;

	if (!b)
		return 0;
	q = &b->query;
	e = &q->event;
	__builtin_memset(q, 0, offsetof(struct query, question));
	q->first_ns = q->last_ns = bpf_ktime_get_boot_ns();
	e->type = q->question.type;
	e->class = q->question.class;
	e->result = DNS_TIMEOUT;
	e->ttl_s = e->wire_ns = e->app_ns = -1;
	e->server_port = port;
	if (b->p.dest == port)
		packet_address(skb, b->p.version, true, &e->server);
	else
		socket_remote(skb, b->p.version, &e->server);
	e->id = b->header.id;
	e->transport = b->p.protocol == IPPROTO_TCP ? DNS_OVER_TCP : DNS_OVER_UDP;
	e->attempts = 1;
	e->flags = b->header.bits & DNS_FLAGS_ALL;
	e->query_bytes = b->size;
	if (b->header.additionals && !b->header.answers && !b->header.authorities)
		e->edns_bytes = query_edns(skb, q->question.next, b->p.end);
	return 0;
}

/* Who asks? Over UDP the current task; a TCP connection knows. */
static __noinline int query_task(struct bench *b)
{
	struct stream *s;

	if (!b)
		return 0;
	if (b->p.protocol == IPPROTO_UDP)
		return task_now(&b->query.event.task);
	s = stream_find(b->key.socket, true);
	if (s)
		b->query.event.task = s->task;
	return 0;
}

static __noinline bool query_wanted(struct bench *b)
{
	struct stream *s;

	if (!b)
		return false;
	if (b->p.protocol == IPPROTO_UDP)
		return wanted_task(current_task());
	s = stream_find(b->key.socket, true);
	if (!s || !s->unwanted)
		return s;
	count_filtered();
	return false;
}

/* The query on the bench has been read: is it new, or sent again? */
static __noinline int query_keep(struct __sk_buff *skb, struct bench *b)
{
	struct query *old;

	if (!b)
		return 0;
	old = bpf_map_lookup_elem(&pending, &b->key);
	if (old) {
		old->last_ns = bpf_ktime_get_boot_ns();
		old->ended_ns = 0; /* had it been answered, then in vain */
		old->event.attempts++;
		return 0;
	}
	query_fill(skb, b);
	query_task(b);
	leg_begin(&b->key, &b->query);
	if (bpf_map_update_elem(&pending, &b->key, &b->query, BPF_NOEXIST))
		return count_lost(LOSS_STATE);
	return asker_note(&b->key, false);
}

/* A message that leaves for a server. */
__noinline int query_sent(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);

	if (!b || !message_begin(skb, b) || (b->header.bits & (DNS_IS_ANSWER | DNS_OPCODE)) ||
	    !b->header.questions || !query_wanted(b))
		return 0;
	/* no query at all, or its question goes on in a later segment */
	if (!message_question(skb, nth))
		return b->at + b->size > b->p.end ? count_lost(LOSS_STATE) : 0;
	b->key.hash = b->query.question.hash;
	return query_keep(skb, b);
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
#define ANSWER_STEPS 40
__noinline int answer_records(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct dns_record r = {};
	struct query *q;
	int step;

	q = b ? bpf_map_lookup_elem(&pending, &b->key) : NULL;
	if (!q)
		return 0;
	b->cursor = b->query.question.next;
	b->records = 0;
	for (int i = 0; i < ANSWER_STEPS; i++) {
		step = dns_step(skb, &b->cursor, b->p.end, &r);
		if (step < 0)
			break;
		if (!step)
			continue;
		if (b->records++ < b->header.answers) {
			answer_address(skb, q, &r);
			if (q->event.ttl_s < 0 || r.ttl_s < q->event.ttl_s)
				q->event.ttl_s = r.ttl_s;
		} else if (r.type == DNS_TYPE_OPT) {
			q->event.result |= r.ttl_s >> 24 << 4;
		}
	}
	return 0;
}

static __noinline int answer_take(struct __sk_buff *skb, u32 nth, struct bench *b, struct query *q)
{
	u64 now_ns = bpf_ktime_get_boot_ns();
	struct dns *e;

	if (!b || !q)
		return 0;
	e = &q->event;
	e->result = b->header.bits & DNS_BITS_RCODE;
	e->flags = b->header.bits & DNS_FLAGS_ALL;
	e->answers = b->header.answers;
	e->answer_bytes = b->size;
	e->took_ns = now_ns - q->first_ns;
	e->wire_ns = now_ns - q->last_ns;
	q->end_seq = b->end_seq;
	if (b->header.questions)
		answer_records(skb, nth);
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

static __always_inline enum dns_retry answer_means(const struct query *q)
{
	if (q->event.flags & DNS_FLAG_TC)
		return DNS_RETRY_TRUNCATED;
	if (q->event.result == DNS_NOERROR || q->event.result == DNS_NXDOMAIN)
		return DNS_RETRY_NONE;
	return DNS_RETRY_ERROR;
}

/* A message that arrives from a server. */
__noinline int answer_came(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct query *q;

	if (!b || !message_begin(skb, b) || !(b->header.bits & DNS_IS_ANSWER))
		return 0;
	if (!b->header.questions)
		answer_guess(&b->key);
	else if (message_question(skb, nth))
		b->key.hash = b->query.question.hash;
	else
		return 0;
	q = bpf_map_lookup_elem(&pending, &b->key);
	if (!q || q->ended_ns)
		return stray_count(skb, b->key.socket, b->p.version);
	answer_take(skb, nth, b, q);
	leg_end(&b->key, q, answer_means(q));
	return asker_note(&b->key, true);
}

/* ---- packets ---- */

/* The next message of the stream, put on the bench; false when none begins in this segment. */
__noinline int stream_next(struct __sk_buff *skb, u32 nth, u32 outbound)
{
	struct bench *b = bench_at(nth);
	struct stream *s;

	s = b ? stream_find(bpf_get_socket_cookie(skb), outbound) : NULL;
	if (!s || !framing_next(skb, &s->framing, &b->p, &b->at, &b->size))
		return false;
	b->end_seq = s->framing.at;
	return true;
}

/* Messages in a segment: those whose header and question lie in it. */
static __always_inline int segment_seen(struct __sk_buff *skb, u32 nth, struct bench *b,
					bool outbound)
{
	struct stream *s;

	if (b->p.payload == b->p.end && !(b->p.tcp_flags & TCP_SYN))
		return 0;
	s = stream_of(skb, b->p.seq, outbound);
	if (!s)
		return 0;
	if (outbound)
		stream_user(skb, b, s);
	framing_resume(&s->framing, b->p.seq);
	for (int i = 0; i < STREAM_MESSAGES; i++) {
		if (!stream_next(skb, nth, outbound))
			return 0;
		if (outbound)
			query_sent(skb, nth);
		else
			answer_came(skb, nth);
	}
	return count_unresolved();
}

static __always_inline int packet_seen(struct __sk_buff *skb, struct packet *p, bool outbound)
{
	u32 nth;
	struct bench *b;

	if (!packet_payload(skb, p))
		return 0;
	nth = bench_claim();
	b = bench_at(nth);
	if (!b)
		return outbound ? count_lost(LOSS_BUSY) : count_unresolved();
	b->p = *p;
	b->at = p->payload;
	b->size = p->end - p->payload;
	if (p->protocol == IPPROTO_TCP)
		segment_seen(skb, nth, b, outbound);
	else if (outbound)
		query_sent(skb, nth);
	else
		answer_came(skb, nth);
	bench_release(b);
	return 0;
}

/* ---- the process reads the answer ---- */

/* Has the process read it, with `got` bytes now? A datagram is known by its size. */
static __always_inline bool answer_was_read(const struct query *q, const struct sock___net *sk,
					    u32 got)
{
	if (q->event.transport == DNS_OVER_UDP)
		return q->event.answer_bytes == got;
	return (s32)(sock_copied_seq(sk) - q->end_seq) >= 0;
}

/* Marks all that were read, and tells the first; the sweep tells the others. */
static __noinline int answer_read(void *ctx, struct sock___net *sk, u64 socket, int got, int flags)
{
	struct query_key key = {}, first = {};
	struct asker *asker;
	struct query *q, *tell = NULL;
	struct hint *hint;
	u32 next;

	if (got <= 0 || (flags & MSG_PEEK))
		return 0;
	key.socket = socket;
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
		if (!tell) {
			tell = q;
			first = key;
		}
		if (q->event.transport == DNS_OVER_UDP)
			break;
	}
	return tell ? query_end(ctx, &first, tell) : 0;
}

/* ---- the socket gets an error: an ICMP message, or the connection is reset ---- */

/* Marks all queries of the socket, and tells the first; the sweep tells the others. */
static __noinline int socket_failed(void *ctx, const struct sock___net *sk)
{
	struct query_key key = {}, first = {};
	struct query *q, *tell = NULL;
	struct asker *asker;

	key.socket = sock_cookie(sk);
	asker = key.socket ? bpf_map_lookup_elem(&askers, &key.socket) : NULL;
	if (!asker)
		return 0;
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
		q->ended_ns = bpf_ktime_get_boot_ns();
		q->event.took_ns = q->ended_ns - q->first_ns;
		leg_end(&key, q, DNS_RETRY_ERROR);
		tell = q;
		first = key;
	}
	return tell ? query_end(ctx, &first, tell) : 0;
}

/* ---- nothing came ---- */

/* A resolver that tries again after exactly `timeout` (glibc: 5 s) is to be heard first. */
#define TIMEOUT_GRACE_NS 250000000
/* An answer that nobody has read after so long is told without the time of reading. */
#define UNREAD_NS        1000000000

ENDING;

static __noinline bool query_is_over(const struct query_key *key, struct query *q)
{
	u64 now_ns = bpf_ktime_get_boot_ns();

	if (!key || !q)
		return false;
	if (q->ended_ns)
		return q->event.app_ns >= 0 || q->event.result == DNS_UNREACHABLE || ending() ||
		       (s64)(now_ns - q->ended_ns) >= UNREAD_NS;
	if ((s64)(now_ns - q->last_ns) >= (s64)timeout + TIMEOUT_GRACE_NS) {
		q->event.took_ns = q->last_ns + timeout - q->first_ns;
		leg_end(key, q, DNS_RETRY_SILENCE);
	} else if (ending()) {
		q->event.took_ns = now_ns - q->first_ns;
		q->event.result = DNS_UNANSWERED;
	} else {
		return false;
	}
	q->ended_ns = now_ns;
	return true;
}

/* So much ended at once that telling it would overrun the reader? The next sweep goes on. */
static __always_inline bool sweep_waits(void)
{
	return events_wanted() && !sonda_conf.perf_array && !ending() &&
	       bpf_ringbuf_query(&sonda_ring, BPF_RB_AVAIL_DATA) >
		       bpf_ringbuf_query(&sonda_ring, BPF_RB_RING_SIZE) / 2;
}

static __noinline int sweep_one(void *ctx, const struct query_key *at)
{
	struct query_key key;
	struct query *q;

	if (!at || sweep_waits())
		return 0;
	__builtin_memcpy(&key, at, sizeof(key));
	q = bpf_map_lookup_elem(&pending, &key);
	return q && query_is_over(&key, q) ? query_end(ctx, &key, q) : 0;
}

/* ---- hooks ---- */

/* A connected socket knows which port was meant, whatever its packets were redirected to. */
NEED("cgroup2") SEC("cgroup_skb/egress") int dns_egress(struct __sk_buff *skb)
{
	struct packet p = {};

	if (packet_ports(skb, &p) && (p.dest == port || bpf_ntohl(skb->remote_port) == port))
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

/* clang-format off */
#define READ(rank) ALT(read, rank) OPTIONAL("times of reading the answers")
#define ERROR(rank) ALT(error, rank) OPTIONAL("ICMP errors (told as timeouts)")

/* Runs for whatever any process receives: sockets that never asked have no cookie, as a rule. */
#define answer_read_by(sk, got, flags)                                                             \
	({                                                                                         \
		u64 socket = (sk)->__sk_common.skc_cookie.counter;                                 \
		socket ? answer_read(ctx, sk, socket, got, flags) : 0;                             \
	})

READ(1) NEED("tp sock/sock_recv_length") /* 6.3 */
SEC("?tp_btf/sock_recv_length") int BPF_PROG(dns_read, struct sock___net *sk, int ret, int flags)
{
	return answer_read_by(sk, ret, flags);
}

READ(2) SEC("?fexit/inet_recvmsg")
int BPF_PROG(dns_read4, struct socket___net *s, void *message, u64 size, int flags, int ret)
{
	return answer_read_by(s->sk, ret, flags);
}
READ(2) SEC("?fexit/inet6_recvmsg")
int BPF_PROG(dns_read6, struct socket___net *s, void *message, u64 size, int flags, int ret)
{
	return answer_read_by(s->sk, ret, flags);
}

/* without trampolines: where both protocols are done with what was copied */
READ(3) SEC("?kprobe/skb_consume_udp")
int BPF_KPROBE(dns_read_udp, struct sock___net *sk, void *skb, int got)
{
	return answer_read(ctx, sk, sock_cookie(sk), got, 0);
}
READ(3) SEC("?kprobe/tcp_cleanup_rbuf")
int BPF_KPROBE(dns_read_tcp, struct sock___net *sk, int got)
{
	return answer_read(ctx, sk, sock_cookie(sk), got, 0);
}

ERROR(1) NEED("tp sock/inet_sk_error_report") /* 5.14 */
SEC("?tp_btf/inet_sk_error_report") int BPF_PROG(dns_error, struct sock___net *sk)
{
	return socket_failed(ctx, sk);
}
ERROR(2) SEC("?fentry/sock_def_error_report")
int BPF_PROG(dns_error_fentry, struct sock___net *sk)
{
	return socket_failed(ctx, sk);
}
ERROR(3) SEC("?kprobe/sock_def_error_report")
int BPF_KPROBE(dns_error_kprobe, struct sock___net *sk)
{
	return socket_failed(ctx, sk);
}

OVER(pending) EVERY(250) SEC("iter/bpf_map_elem")
int dns_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	return sweep_one(ctx, ctx->key);
}
/* clang-format on */
