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

#define PORTS 8

/* clang-format off */
PROBE(dns, "net", "DNS queries: what was asked, what came back, and how long it took");
FILTERS("task errors min");
PARAM_LIST(u16, port, PORTS, (53, 5353, 5355), RANGE(1, 65535)
	DOC("ports that the servers listen at; by default of DNS, mDNS and LLMNR"));
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
	struct text records KIND("dns_records") DOC("what was answered, all records");
	struct ip address HIDE DOC("first address in the answer");
	struct ip address2 HIDE DOC("second address");
	struct ip address3 HIDE DOC("third address");
	struct ip address4 HIDE DOC("fourth address");
	u32 answers DOC("records in the answer");
	s64 ttl_s UNIT("s") HIDE DOC("least time to live of the records in the answer; -1: none");
	struct ip server DOC("server asked; of a multicast query who answered it");
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
	u32 forwards HIDE
		DOC("queries by which a server of this machine has asked on for this one");
	u32 for_pid KIND("pid") HIDE
		DOC("process that waits for this answer: it has asked this one the same; 0: none known");
	char for_comm[16] KIND("comm") HIDE DOC("its command name");
	struct ip for_address HIDE DOC("address it has asked from; also that of another machine");
	u16 for_port KIND("port") HIDE DOC("port it has asked from");
	u16 for_id HIDE DOC("transaction id of its query");
};

struct query_labels {
	char comm[16] KIND("comm") DOC("process that asks");
	struct ip server DOC("server asked; of a multicast query who answered it");
	enum dns_type type DOC("type of record asked for");
	enum dns_result result DOC("the server's code, timeout or unreachable");
};
struct query_values {
	u64 queries COUNTER DOC("queries");
	u64 resent COUNTER DOC("queries that were sent more than once");
	HIST_LOG2(took_ns, 36, UNIT("ns") DOC("from the first attempt to the answer"));
};
METRICS(queries, struct query_labels, struct query_values, 2048, "DNS queries");
RATIO(queries, resent_ratio, resent, queries, DOC("share of the queries that were sent more than once"));
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

/* ---- the message on the bench ---- */

static __noinline int message_begin(struct __sk_buff *skb, struct bench *b)
{
	if (!b || !dns_header_read(skb, b->at, &b->header))
		return false;
	b->key.socket = bpf_get_socket_cookie(skb);
	b->key.id = b->header.id;
	b->came_ns = bpf_ktime_get_boot_ns();
	return true;
}

__noinline int message_question(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);

	return b && dns_question_read(skb, b->at + sizeof(b->header), b->p.end, &b->query.question);
}

#include "dns_serve.h"
#include "dns_multicast.h"
#include "dns_query.h"
#include "dns_answer.h"

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

/* What a packet is, by where it goes and which of its ports is a server's. */
enum role { ROLE_NONE, ROLE_QUERY, ROLE_ANSWER, ROLE_ASKED, ROLE_REPLIED };

static __always_inline void packet_by_role(struct __sk_buff *skb, u32 nth, struct bench *b,
					   enum role role)
{
	if (role == ROLE_ASKED)
		serve_asked(skb, nth);
	else if (role == ROLE_REPLIED)
		serve_replied(skb, nth);
	else if (b->p.protocol == IPPROTO_TCP)
		segment_seen(skb, nth, b, role == ROLE_QUERY);
	else if (role == ROLE_QUERY)
		query_sent(skb, nth);
	else
		answer_came(skb, nth);
}

static __always_inline int packet_seen(struct __sk_buff *skb, struct packet *p, enum role role,
				       u16 server_port)
{
	u32 nth;
	struct bench *b;

	if (!packet_payload(skb, p))
		return 0;
	nth = bench_claim();
	b = bench_at(nth);
	if (!b)
		return role == ROLE_QUERY    ? count_lost(LOSS_BUSY)
		       : role == ROLE_ANSWER ? count_unresolved()
					     : 0;
	b->p = *p;
	b->at = p->payload;
	b->size = p->end - p->payload;
	b->server_port = server_port;
	packet_by_role(skb, nth, b, role);
	bench_release(b);
	return 0;
}

#include "dns_end.h"

/* ---- hooks ---- */

/* What is behind the list's end is dead code, which the verifier removes. */
static __always_inline bool is_server_port(u16 number)
{
	u16 of;

	_Pragma("unroll") for (u32 i = 0; i < PORTS; i++)
	{
		of = port[i];
		if (!of)
			return false;
		if (of == number)
			return true;
	}
	return false;
}

/* A connected socket knows which port was meant, whatever its packets were redirected to. */
NEED("cgroup2") SEC("cgroup_skb/egress") int dns_egress(struct __sk_buff *skb)
{
	struct packet p = {};
	u16 number;

	if (!packet_ports(skb, &p))
		return 1;
	number = is_server_port(p.dest) ? p.dest : bpf_ntohl(skb->remote_port);
	if (is_server_port(number))
		packet_seen(skb, &p, ROLE_QUERY, number);
	else if (is_server_port(p.source))
		packet_seen(skb, &p, ROLE_REPLIED, p.source);
	return 1;
}

NEED("cgroup2") SEC("cgroup_skb/ingress") int dns_ingress(struct __sk_buff *skb)
{
	struct packet p = {};

	if (!packet_ports(skb, &p))
		return 1;
	if (is_server_port(p.source))
		packet_seen(skb, &p, ROLE_ANSWER, p.source);
	else if (is_server_port(p.dest))
		packet_seen(skb, &p, ROLE_ASKED, p.dest);
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
