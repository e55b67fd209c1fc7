/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How net.dns's queries end: the process has read the answer, the socket got an error, or nothing came.
 */
#pragma once

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

static __noinline int records_text(struct dns *e, const struct query_key *key)
{
	struct event_slot *slot;
	struct answer *a;
	u32 begin, n;

	a = key ? bpf_map_lookup_elem(&unread, key) : NULL;
	if (!e || !a)
		return 0;
	slot = event_slot_of(e);
	begin = *(volatile u32 *)&slot->tail;
	n = a->size;
	if (begin > EVENT_MAX - ANSWER_BYTES - 1 || n > ANSWER_BYTES)
		return 0;
	bpf_probe_read_kernel(&slot->body[begin], n, a->bytes);
	slot->tail = begin + n;
	slot_text_end(slot, __builtin_offsetof(struct dns, records), begin);
	return a->whole_size > n ? text_was_cut(&e->records) : 0;
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
	records_text(e, key);
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
	bpf_map_delete_elem(&unread, key);
	if (e)
		event_send(ctx, e);
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
	u64 came_ns = 0;
	u32 next;

	serve_read(socket);
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
		if (!answer_was_read(q, sk, got) || (came_ns && came_ns != q->ended_ns))
			continue;
		hint->id = 0;
		q->event.app_ns = bpf_ktime_get_boot_ns() - q->ended_ns;
		if (!tell) {
			tell = q;
			first = key;
		}
		/* one message: of multicast it may end several */
		if (q->event.transport == DNS_OVER_UDP)
			came_ns = q->ended_ns;
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
