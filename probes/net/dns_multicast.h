/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Multicast DNS (RFC 6762), for net.dns: a message may hold several questions, and names that are
 * compressed; an answer holds no question at all, and comes to every socket that listens.
 */
#pragma once

#define MDNS_PORT 5353

#define MULTICAST_QUESTIONS 8
#define MULTICAST_RECORDS   16
#define LABELS_AND_POINTERS 24
#define EXPANDED_MAX        (DNS_NAME_MAX - DNS_LABEL_MAX - 1) /* what is written, before one more label */

/* One step: over a label, or to where a pointer leads, which is always before it. 1: the name ends; -1: it
 * is none. */
static __always_inline int label_expand(struct __sk_buff *skb, struct bench *b)
{
	u32 from = b->name_at, to = b->name_bytes;
	u8 head[2];

	if (bpf_skb_load_bytes(skb, from, head, 1))
		return -1;
	if (!head[0]) {
		b->cursor = b->jumped ? b->cursor : from + 1;
		return 1;
	}
	if (head[0] >= 0xc0) {
		if (bpf_skb_load_bytes(skb, from, head, 2))
			return -1;
		b->cursor = b->jumped ? b->cursor : from + 2;
		b->jumped = true;
		b->name_at = b->at + ((head[0] & 0x3f) << 8 | head[1]);
		return b->name_at < from ? 0 : -1;
	}
	if (head[0] > DNS_LABEL_MAX)
		return -1;
	barrier_var(to); /* or old verifiers see the check on a copy */
	if (to > EXPANDED_MAX || bpf_skb_load_bytes(skb, from, &b->query.question.name[to],
						    (head[0] & DNS_LABEL_MAX) + 1))
		return -1;
	if (to)
		b->query.question.name[to] = '.';
	b->name_bytes = to + head[0] + 1;
	b->name_at = from + head[0] + 1;
	return 0;
}

/* Reads the name at the cursor as dns_question_read() has names, and moves the cursor behind it. False:
 * it is none, or has more than 192 bytes. */
__noinline int name_expand(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	u32 at;
	int step = 0;

	if (!b)
		return false;
	b->name_at = b->cursor;
	b->name_bytes = b->jumped = 0;
	for (int i = 0; i < LABELS_AND_POINTERS && !step; i++)
		step = label_expand(skb, b);
	at = b->name_bytes;
	if (step != 1 || at > DNS_NAME_MAX)
		return false;
	_Pragma("unroll") for (int i = 0; i < 8; i++)
		b->query.question.name[(at & DNS_NAME_MAX) + i] = 0;
	b->query.question.name_bytes = at + 1;
	return true;
}

/* The type and class behind the name, and what is made of all three. */
__noinline int kind_read(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct dns_question *q;
	u16 kind[2];

	if (!b || bpf_skb_load_bytes(skb, b->cursor, kind, sizeof(kind)))
		return false;
	q = &b->query.question;
	q->type = bpf_ntohs(kind[0]);
	q->class = bpf_ntohs(kind[1]) & DNS_CLASS;
	q->hash = dns_question_hash(q);
	b->cursor += sizeof(kind);
	q->next = b->cursor;
	return true;
}
