/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Answers that arrive, for net.dns: to which query, with what result and addresses?
 */
#pragma once

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

/* Keeps the message for the event. */
__noinline int answer_keep(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	u32 size;

	if (!b || !events_wanted())
		return 0;
	size = b->p.end - b->at;
	if (size < sizeof(b->header))
		return 0;
	barrier_var(size); /* or old verifiers see the two checks on a copy */
	if (size > ANSWER_BYTES)
		size = ANSWER_BYTES;
	if (bpf_skb_load_bytes(skb, b->at, b->answer.bytes, size))
		return 0;
	b->answer.size = size;
	b->answer.whole_size = b->size;
	bpf_map_update_elem(&unread, &b->key, &b->answer, BPF_ANY);
	return 0;
}

static __noinline int answer_take(struct __sk_buff *skb, u32 nth, struct bench *b, struct query *q)
{
	u64 now_ns;
	struct dns *e;

	if (!b || !q)
		return 0;
	now_ns = b->came_ns;
	e = &q->event;
	if (ip_is_multicast(&e->server))
		packet_address(skb, b->p.version, false, &e->server);
	e->result = b->header.bits & DNS_BITS_RCODE;
	e->flags = b->header.bits & DNS_FLAGS_ALL;
	e->answers = b->header.answers;
	e->answer_bytes = b->size;
	e->took_ns = now_ns - q->first_ns;
	e->wire_ns = now_ns - q->last_ns;
	q->end_seq = b->end_seq;
	if (b->header.questions)
		answer_records(skb, nth);
	answer_keep(skb, nth);
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

/* Whatever it asked: the answers to a query by multicast have no question, but their records' names. */
static __noinline int multicast_record(struct __sk_buff *skb, u32 nth, struct bench *b,
				       const struct dns_record *r)
{
	struct query *q;

	if (!b || !r)
		return 0;
	b->key.hash = b->query.question.hash;
	q = bpf_map_lookup_elem(&pending, &b->key);
	if (!q)
		return 0;
	if (!q->ended_ns) {
		answer_take(skb, nth, b, q);
		q->event.answers = 0;
		asker_note(&b->key, true);
	} else if (q->ended_ns != b->came_ns) {
		return 0;
	}
	q->event.answers++;
	answer_address(skb, q, r);
	if (q->event.ttl_s < 0 || r->ttl_s < q->event.ttl_s)
		q->event.ttl_s = r->ttl_s;
	return 0;
}

/* The record at the cursor, which it moves behind it. False: it can't be read. */
__noinline int multicast_next(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct dns_record r = {};
	u8 head[6];

	if (!b || !name_expand(skb, nth) || !kind_read(skb, nth) ||
	    bpf_skb_load_bytes(skb, b->cursor, head, sizeof(head)))
		return false;
	r.type = b->query.question.type;
	r.ttl_s = (u32)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
	r.size = head[4] << 8 | head[5];
	r.data = b->cursor + sizeof(head);
	b->cursor = r.data + r.size;
	multicast_record(skb, nth, b, &r);
	return true;
}

static __noinline int multicast_answered(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);

	if (!b)
		return 0;
	b->cursor = b->at + sizeof(b->header);
	for (u32 i = 0; i < MULTICAST_RECORDS; i++) {
		if (i >= b->header.answers || !multicast_next(skb, nth))
			break;
	}
	return 0;
}

/* A message that arrives from a server. */
__noinline int answer_came(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct query *q;

	if (!b || !message_begin(skb, b) || !(b->header.bits & DNS_IS_ANSWER))
		return 0;
	if (!b->header.questions && b->header.answers)
		return b->server_port == MDNS_PORT ? multicast_answered(skb, nth) : 0;
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
