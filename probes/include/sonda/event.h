/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Events: built in a scratch slot, sent at their real length, so that an event with a short path
 * takes few bytes in the ring and what a filter refuses takes none.
 *
 *	e = event_new(open);		NULL: counted as lost, return
 *	e->err = ret;
 *	text_user(e, path, filename);
 *	event_send(ctx, e);		or event_drop(e)
 *
 * Slots are shared by all CPUs and claimed by counting: the one who finds the count at 1 after
 * adding to it owns the slot, everybody else steps back and takes the next. So a program that is
 * preempted in the middle keeps its slot, with plain atomic adds only (5.10 has no others).
 */
#pragma once

#define EVENT_SLOT_TRIES 4
/* Room behind the last text's start: the longest single text, and a path under construction. */
#define TEXT_MAX         4096

/* The most that the struct and the texts of one event may take together, and the ring's size unless
 * --buffer says otherwise. A probe that needs others defines them before it includes sonda.bpf.h. */
#ifndef EVENT_MAX
#define EVENT_MAX 4096
#endif
#ifndef EVENT_RING
#define EVENT_RING (512 * 1024)
#endif

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENT_RING);
} sonda_ring SEC(".maps");

/* instead of the ring, where the kernel has none */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} sonda_perf SEC(".maps");

struct event_slot {
	u32 claims;
	u32 tail;  /* bytes of `body` in use */
	u32 index; /* of the slot itself: how a global function is told which */
	u32 pad;
	struct record record;
	u8 body[EVENT_MAX + TEXT_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader sets it from the number of CPUs */
	__type(key, u32);
	__type(value, struct event_slot);
} sonda_slots SEC(".maps");

static __noinline int text_was_cut(struct text *text)
{
	struct stats *stats = stats_here();

	if (text)
		text->size |= TEXT_CUT;
	if (stats)
		count_one(&stats->cut);
	return -E2BIG;
}

/* One condition against the event's first byte. The offset is a constant to the verifier. */
static __always_inline bool cond_holds(const volatile struct cond *c, const void *event)
{
	const void *p = event + c->offset;
	u64 v;
	bool holds;

	if (c->size == 8)
		v = *(u64 *)p;
	else if (c->size == 4)
		v = c->is_signed ? (u64)(s64) * (s32 *)p : *(u32 *)p;
	else if (c->size == 2)
		v = c->is_signed ? (u64)(s64) * (s16 *)p : *(u16 *)p;
	else
		v = c->is_signed ? (u64)(s64) * (s8 *)p : *(u8 *)p;
	if (c->op == COND_EQ)
		holds = v == c->value;
	else if (c->op == COND_LT)
		holds = c->is_signed ? (s64)v < (s64)c->value : v < c->value;
	else if (c->op == COND_GT)
		holds = c->is_signed ? (s64)v > (s64)c->value : v > c->value;
	else
		holds = v & c->value;
	return holds != !!c->negated;
}

static __noinline struct event_slot *slot_claim(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct event_slot *slot;
	u32 at;

	for (u32 i = 0; i < EVENT_SLOT_TRIES; i++) {
		at = (cpu * EVENT_SLOT_TRIES + i) & (sonda_conf.slots - 1);
		slot = bpf_map_lookup_elem(&sonda_slots, &at);
		if (!slot)
			break;
		__sync_fetch_and_add(&slot->claims, 1);
		if (*(volatile u32 *)&slot->claims == 1) {
			slot->index = at;
			slot->record.cpu = cpu;
			return slot;
		}
		__sync_fetch_and_add(&slot->claims, -1);
	}
	return NULL;
}

static __noinline struct event_slot *slot_begin(u32 type, u32 size, u64 at_ns)
{
	struct event_slot *slot = slot_claim();

	if (!slot) {
		count_lost(LOSS_BUSY);
		return NULL;
	}
	slot->tail = size;
	slot->record.type = type;
	slot->record.at_ns = at_ns;
	slot->record.pad = 0;
	return slot;
}

/* Whether the reader is to be woken for one more of that size. */
static __always_inline u64 ring_wake(u32 size)
{
	u64 waiting = bpf_ringbuf_query(&sonda_ring, BPF_RB_AVAIL_DATA);

	return waiting >= sonda_conf.wake_bytes && waiting < sonda_conf.wake_bytes + 2 * size
		       ? BPF_RB_FORCE_WAKEUP
		       : BPF_RB_NO_WAKEUP;
}

static __noinline long slot_output(void *ctx, struct event_slot *slot, u32 size)
{
	if (size > sizeof(struct record) + EVENT_MAX)
		return -E2BIG;
	if (sonda_conf.perf_array)
		return bpf_perf_event_output(ctx, &sonda_perf, BPF_F_CURRENT_CPU, &slot->record,
					     size);
	return bpf_ringbuf_output(&sonda_ring, &slot->record, size, ring_wake(size));
}

/* Gives the record its number; it is seen. */
static __always_inline void record_number(struct record *record, struct stats *stats)
{
	count_one(&stats->seq);
	record->seq = *(volatile u64 *)&stats->seq;
	count_one(&stats->seen);
}

/* 0, or why it is lost. */
static __noinline int slot_send(void *ctx, struct event_slot *slot)
{
	struct stats *stats = stats_here();
	u32 size;
	long err;

	if (!slot || !stats)
		return 0;
	size = *(volatile u32 *)&slot->tail;
	slot->record.size = size;
	record_number(&slot->record, stats);
	err = slot_output(ctx, slot, size + sizeof(struct record));
	__sync_fetch_and_add(&slot->claims, -1);
	if (!err)
		count_one(&stats->sent);
	else
		count_one(&stats->lost[err == -E2BIG ? LOSS_ROOM : LOSS_RING]);
	return err;
}

static __noinline int slot_release(struct event_slot *slot)
{
	if (slot)
		__sync_fetch_and_add(&slot->claims, -1);
	return 0;
}

static __noinline int slot_refuse(struct event_slot *slot)
{
	if (slot)
		__sync_fetch_and_add(&slot->claims, -1);
	return count_filtered();
}

static __noinline bool conds_hold(struct event_slot *slot, u32 type)
{
	bool held = false; /* one before, that this one is joined with by `or` */

	if (!slot)
		return false;
	_Pragma("unroll") for (int i = 0; i < COND_MAX; i++)
	{
		/* filled from the front: behind the first unset one all is dead code */
		if (sonda_conf.where[i].op == COND_NONE)
			return true;
		if (held || sonda_conf.where[i].type != type ||
		    cond_holds(&sonda_conf.where[i], slot->body))
			held = sonda_conf.where[i].or_next;
		else if (!sonda_conf.where[i].or_next)
			return false;
	}
	return true;
}

/* Without conditions not even a call is left of it. */
static __always_inline bool where_wants(struct event_slot *slot, u32 type)
{
	return sonda_conf.where[0].op == COND_NONE || conds_hold(slot, type);
}

/* How much may be appended at `at`, which is below EVENT_MAX: `most`, what has room, or TEXT_MAX.
 * The barriers keep compilers from merging these into conditions that tell the verifier nothing. */
static __always_inline u32 slot_room(u32 at, u32 most)
{
	u32 room = EVENT_MAX - at;

	barrier_var(room);
	if (room > most)
		room = most;
	barrier_var(room);
	return room < TEXT_MAX ? room : TEXT_MAX;
}

static __noinline int slot_text(struct event_slot *slot, u32 field, const void *from, u32 limit,
				bool user)
{
	struct text *text;
	long n;
	u32 at;
	u8 next = 0;

	if (!slot || field > EVENT_MAX - sizeof(struct text))
		return -EINVAL;
	text = (void *)&slot->body[field];
	at = *(volatile u32 *)&slot->tail;
	if (at >= EVENT_MAX)
		return -E2BIG;
	limit = slot_room(at, limit);
	n = user ? bpf_probe_read_user_str(&slot->body[at], limit, from)
		 : bpf_probe_read_kernel_str(&slot->body[at], limit, from);
	if (n < 0) {
		count_unresolved();
		return n;
	}
	if (!n) { /* older kernels (6.12, not 6.18) say so of an empty text, and write no NUL */
		slot->body[at] = 0;
		n = 1;
	}
	text->at = at;
	text->size = n - 1;
	slot->tail = at + n;
	if (n < limit)
		return n;
	if (user)
		bpf_probe_read_user(&next, 1, from + limit - 1);
	else
		bpf_probe_read_kernel(&next, 1, from + limit - 1);
	return next ? text_was_cut(text) : n;
}

/* Ends the text that began at `begin` where the slot's tail is now. */
static __noinline int slot_text_end(struct event_slot *slot, u32 field, u32 begin)
{
	struct text *text;
	u32 at;

	if (!slot || field > EVENT_MAX - sizeof(struct text))
		return -EINVAL;
	text = (void *)&slot->body[field];
	at = *(volatile u32 *)&slot->tail;
	if (at >= EVENT_MAX)
		return -E2BIG;
	slot->body[at] = 0;
	slot->tail = at + 1;
	text->at = begin;
	text->size = at - begin;
	return at - begin;
}

/* The slot that event `e` (as event_new gave it) lies in. */
#define event_slot_of(e) \
	((struct event_slot *)((void *)(e) - __builtin_offsetof(struct event_slot, body)))

/* A zeroed event of type T, or NULL (then it is counted as lost: return). */
#define event_new(T) event_new_at(T, bpf_ktime_get_boot_ns())

/* The same where that clock has been read already. */
#define event_new_at(T, at_ns)                                                                 \
	({                                                                                     \
		struct event_slot *new_slot =                                                  \
			slot_begin(bpf_core_type_id_local(struct T), sizeof(struct T), at_ns); \
		if (new_slot)                                                                  \
			__builtin_memset(new_slot->body, 0, sizeof(struct T));                 \
		(struct T *)(new_slot ? new_slot->body : NULL);                                \
	})

/* Sends the event, or counts it as filtered (--where) or lost (ring full). `e` is gone after it. */
#define event_send(ctx, e)                                                        \
	({                                                                        \
		struct event_slot *sent_slot = event_slot_of(e);                  \
		if (where_wants(sent_slot, bpf_core_type_id_local(typeof(*(e))))) \
			slot_send(ctx, sent_slot);                                \
		else                                                              \
			slot_refuse(sent_slot);                                   \
	})

/* The same; is it lost? */
#define event_send_loses(ctx, e)                                                           \
	({                                                                                 \
		struct event_slot *sent_slot = event_slot_of(e);                           \
		bool wants = where_wants(sent_slot, bpf_core_type_id_local(typeof(*(e)))); \
		wants ? slot_send(ctx, sent_slot) : (slot_refuse(sent_slot), 0);           \
	})

/* Gives the event up: counted as filtered. */
#define event_drop(e) slot_refuse(event_slot_of(e))

/* Gives the event up, uncounted: it was only to look at. */
#define event_release(e) slot_release(event_slot_of(e))

/* Are events wanted at all, or only metric tables? Free when they are. */
#define events_wanted() (!sonda_conf.events_off)

/* Copies the text at user (kernel) address `from` into the member `field`, at most TEXT_MAX bytes.
 * Returns the bytes read with the NUL, or a negative errno; what can't be read stays empty. */
#define text_user(e, field, from) \
	slot_text(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), from, TEXT_MAX, true)
#define text_kernel(e, field, from) \
	slot_text(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), from, TEXT_MAX, false)

/* By plain loads. */
static __always_inline void task_put(struct task *out, struct task_struct *task)
{
	const u64 *comm = (const u64 *)task->comm; /* zero behind its end */

	((u64 *)out->comm)[0] = comm[0];
	((u64 *)out->comm)[1] = comm[1];
	out->pid = task->tgid;
	out->tid = task->pid;
	out->uid = task->real_cred->uid.val;
	out->ppid = task->real_parent->tgid;
	out->cgroup = task->cgroups->dfl_cgrp->kn->id;
	out->start_ns = task->group_leader->start_boottime;
}

/* Fills the process block for `task`, by reading only what does not change hands. */
static __noinline int task_fill(struct task *out, struct task_struct *task)
{
	if (!out)
		return 0;
	if (DIRECT) {
		task_put(out, direct(struct task_struct, task));
	} else {
		out->pid = BPF_CORE_READ(task, tgid);
		out->tid = BPF_CORE_READ(task, pid);
		out->uid = task_uid(task);
		out->ppid = BPF_CORE_READ(task, real_parent, tgid);
		out->cgroup = task_cgroup_id(task);
		out->start_ns = task_start_ns(task);
		BPF_CORE_READ_STR_INTO(&out->comm, task, comm);
	}
	return 0;
}
#define task_now(out) task_fill(out, current_task())

/* Rows of an iterator: header and row, written to its seq_file. */
#define row_write(seq, row)                                               \
	({                                                                \
		struct record row_header = {};                            \
		row_header.type = bpf_core_type_id_local(typeof(*(row))); \
		row_header.size = sizeof(*(row));                         \
		row_header.at_ns = bpf_ktime_get_boot_ns();               \
		bpf_seq_write(seq, &row_header, sizeof(row_header));      \
		bpf_seq_write(seq, row, sizeof(*(row)));                  \
	})
