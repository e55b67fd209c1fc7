/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Queries that leave, for net.dns: who asks what, and is it new or sent again?
 */
#pragma once

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
	q->first_ns = q->last_ns = b->came_ns;
	e->type = q->question.type;
	e->class = q->question.class;
	e->result = DNS_TIMEOUT;
	e->ttl_s = e->wire_ns = e->app_ns = -1;
	e->server_port = b->server_port;
	if (b->p.dest == b->server_port)
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
__noinline int query_keep(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	struct query *old;

	if (!b)
		return 0;
	b->key.hash = b->query.question.hash;
	old = bpf_map_lookup_elem(&pending, &b->key);
	if (old) {
		old->last_ns = b->came_ns;
		old->ended_ns = 0; /* had it been answered, then in vain */
		old->event.attempts++;
		return 0;
	}
	query_fill(skb, b);
	query_task(b);
	if (ip_is_multicast(&b->query.event.server)) {
		/* its id is 0 as a rule, and says nothing of earlier ones */
	} else {
		leg_begin(&b->key, &b->query);
		serve_link(b);
	}
	if (bpf_map_update_elem(&pending, &b->key, &b->query, BPF_NOEXIST))
		return count_lost(LOSS_STATE);
	return asker_note(&b->key, false);
}

/* All questions of a query by multicast. One that brings answers or authorities expects none: it refreshes
 * what is known, or asks whether a name is free. */
static __noinline int multicast_asked(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);

	if (!b || b->header.answers || b->header.authorities)
		return 0;
	b->cursor = b->at + sizeof(b->header);
	for (u32 i = 0; i < MULTICAST_QUESTIONS; i++) {
		if (i >= b->header.questions || !name_expand(skb, nth) || !kind_read(skb, nth))
			break;
		query_keep(skb, nth);
	}
	return 0;
}

/* A message that leaves for a server. */
__noinline int query_sent(struct __sk_buff *skb, u32 nth)
{
	struct bench *b = bench_at(nth);
	int whole;

	if (!b || !message_begin(skb, b) || (b->header.bits & (DNS_IS_ANSWER | DNS_OPCODE)) ||
	    !b->header.questions)
		return 0;
	if (b->p.source == MDNS_PORT && b->server_port == MDNS_PORT)
		return query_wanted(b) ? multicast_asked(skb, nth) : 0;
	whole = message_question(skb, nth);
	if (whole)
		serve_client(b);
	if (!query_wanted(b))
		return 0;
	/* no query at all, or its question goes on in a later segment */
	if (!whole)
		return b->at + b->size > b->p.end ? count_lost(LOSS_STATE) : 0;
	return query_keep(skb, nth);
}
