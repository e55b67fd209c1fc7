/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The life of a block request, as any probe of them needs it: a bio is submitted, waits until a request
 * is free for it (a tag), the request waits until the driver gets it, then for driver and device.
 *
 *	#define requests_want_inode() ...	is the file's inode number wanted of every request?
 *	#define requests_want_cgroup() ...	is the cgroup that it is charged to?
 *	#define requests_want_via() ...		is the device that sent it on, bio_sent_by(bio)? May be left out
 *	#include "sonda/requests.h"
 *	static __always_inline void request_goes(struct request *rq, struct underway *u) ...  the driver gets it
 *	static __always_inline void request_comes(struct underway *u) ...  it gives it back, or is done
 *	static __always_inline void request_ended(void *ctx, struct request *rq, struct underway *u) ...
 *
 * Who caused it is asked when it is made, in the context of who submits the bio: at completion
 * `current` is whoever was interrupted. A write by the kernel's write-back is charged to who dirtied
 * its first page. Requests made before the probe was attached are not told and not counted: nobody knows
 * since when they wait, nor for whom.
 */
#pragma once

#include "kernel/block.h"
#include "sonda/dirtied.h"

#define PF_WQ_WORKER 0x20

#ifndef requests_want_via
#define requests_want_via() false
#define bio_sent_by(bio)    0
#endif

/* Who wants a bio done, and since when. */
struct asked {
	struct cause cause;
	u64 charged_cgroup; /* 0: not wanted */
	u64 since_ns; /* of the last change between waiting and being served */
	u64 tag_ns;   /* from the bio's submission until there was a request for it */
	u64 inode;    /* number of the file whose pages it carries; 0: none, or not wanted */
	u32 via;      /* device that sent it on to this disk; 0: none, or not wanted */
	u32 pad;
};
struct underway {
	u64 request; /* struct request */
	u64 claims;  /* of a place; 0: it is in the hash map */
	struct asked asked;
	u64 queue_ns;
	u64 device_ns;
	u64 sector;
	u32 size_bytes;
	u32 opf;
	u32 device;
	u32 tries;
	s32 err;
	u32 depth;       /* requests that the driver had with it; this and the next three are for block.io */
	u32 bios;        /* that it carried when it was first given to the driver */
	bool sequential; /* it begins where the process's one before ended */
	bool near;       /* its device's traffic is in the array */
	bool issued;
	bool live; /* false: the request is over; what is kept is only its entry, to be used again */
};
/*
 * The kernel uses the memory of a request again for the next, so its entry stays: taking entries out and
 * putting them in was the dearest part of watching a request. It lies in a place that the request's address
 * gives, for as long as the probe runs; where that is another's, in a hash map. Of machines with very many
 * requests those in there don't stay.
 */
#define UNDERWAY_PLACE_BITS 13
#define UNDERWAY_MAX	    8192
#define UNDERWAY_KEPT	    4096
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << UNDERWAY_PLACE_BITS);
	__type(key, u32);
	__type(value, struct underway);
} underway_places SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNDERWAY_MAX);
	__type(key, u64); /* struct request */
	__type(value, struct underway);
} underway_others SEC(".maps");
static const struct underway underway_none;
u64 underway_entries; /* of the hash map */

static __always_inline struct underway *underway_place(const struct request *rq)
{
	u32 place = id_mix(0, address_number(rq)) >> (64 - UNDERWAY_PLACE_BITS);

	return bpf_map_lookup_elem(&underway_places, &place);
}

/* Its entry, or NULL. */
static __always_inline struct underway *underway_entry(const struct request *rq)
{
	struct underway *u = underway_place(rq);
	u64 key = (u64)rq;

	if (!u || u->request == key)
		return u;
	return u->claims ? bpf_map_lookup_elem(&underway_others, &key) : NULL;
}

static __always_inline struct underway *underway_of(const struct request *rq)
{
	struct underway *u = underway_entry(rq);

	return u && u->live ? u : NULL;
}

/* An entry for what has none. NULL: counted as lost. */
static __always_inline struct underway *underway_begin(const struct request *rq)
{
	struct underway *u = underway_place(rq);
	u64 key = (u64)rq;

	if (u && front_claimed(&u->claims)) {
		u->request = key;
		return u;
	}
	if (bpf_map_update_elem(&underway_others, &key, &underway_none, BPF_ANY)) {
		count_lost(LOSS_STATE);
		return NULL;
	}
	__sync_fetch_and_add(&underway_entries, 1);
	u = bpf_map_lookup_elem(&underway_others, &key);
	if (u)
		u->request = key;
	return u;
}

/* A cleared entry, not live yet; `u` is what there is of it. NULL: counted as lost. */
static __always_inline struct underway *underway_cleared(const struct request *rq, struct underway *u)
{
	if (!u)
		return underway_begin(rq);
	u->live = false;
	barrier();
	__builtin_memset(&u->asked, 0, sizeof(*u) - __builtin_offsetof(struct underway, asked));
	return u;
}

static __always_inline void underway_live(struct underway *u)
{
	barrier();
	u->live = true;
}

/* Its entry isn't kept. */
static __always_inline void underway_forgotten(struct underway *u)
{
	u64 key = u->request;

	u->live = false;
	if (!u->claims && !bpf_map_delete_elem(&underway_others, &key))
		__sync_fetch_and_add(&underway_entries, -1);
}

static __always_inline void underway_over(struct underway *u)
{
	u->live = false;
	if (*(volatile u64 *)&underway_entries > UNDERWAY_KEPT)
		underway_forgotten(u);
}

static __always_inline void request_goes(struct request *rq, struct underway *u);
static __always_inline void request_comes(struct underway *u);
static __always_inline void request_ended(void *ctx, struct request *rq, struct underway *u);

static __always_inline u64 request_took(const struct underway *u)
{
	return u->asked.tag_ns + u->queue_ns + u->device_ns;
}

/* Before 6.5 no hook shows request and submitter together, so who asked is kept by bio until the
 * request is issued: in a place that the bio's address gives. What another finds there is moved to the map:
 * that is LRU, because a bio that is merged away is never heard of again. */
struct bio_place {
	u64 bio; /* struct bio; 0: none */
	u64 claims;
	struct asked asked;
};
#define BIO_PLACE_BITS 12
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << BIO_PLACE_BITS);
	__type(key, u32);
	__type(value, struct bio_place);
} bio_places SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64); /* struct bio */
	__type(value, struct asked);
} bios SEC(".maps");

/* A flush is a request of the queue's own, without a bio: the last who asked for one. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, u64); /* struct request_queue */
	__type(value, struct asked);
} flushers SEC(".maps");

static __always_inline struct bio_place *bio_place(const struct bio *bio)
{
	u32 place = id_mix(0, address_number(bio)) >> (64 - BIO_PLACE_BITS);

	return bpf_map_lookup_elem(&bio_places, &place);
}

/* Is it the caller's alone, until it is left? */
static __always_inline bool bio_place_held(struct bio_place *place)
{
	add(place->claims, 1);
	if (*(volatile u64 *)&place->claims == 1)
		return true;
	add(place->claims, -1);
	return false;
}

static __always_inline void bio_place_left(struct bio_place *place)
{
	add(place->claims, -1);
}

static __always_inline long bio_keep(const struct bio *bio, const struct asked *asked)
{
	struct bio_place *place = bio_place(bio);
	u64 key = (u64)bio, before;
	long err = 0;

	if (!place || !bio_place_held(place))
		return bpf_map_update_elem(&bios, &key, asked, BPF_ANY);
	before = place->bio;
	if (before && before != key)
		err = bpf_map_update_elem(&bios, &before, &place->asked, BPF_ANY);
	place->asked = *asked;
	place->bio = key;
	bio_place_left(place);
	return err;
}

/* Takes out who asked for the bio. */
static __always_inline bool bio_take(const struct bio *bio, struct asked *ret_asked)
{
	struct bio_place *place = bio_place(bio);
	bool is_held = place && bio_place_held(place), is_here;
	u64 key = (u64)bio;
	struct asked *asked;

	if (place && is_held) {
		is_here = place->bio == key;
		if (is_here) {
			*ret_asked = place->asked;
			place->bio = 0;
		}
		bio_place_left(place);
		if (is_here)
			return true;
	}
	asked = bpf_map_lookup_elem(&bios, &key);
	if (!asked) {
		if (!is_held) /* it may be where somebody else is just now */
			count_lost(LOSS_STATE);
		return false;
	}
	*ret_asked = *asked;
	bpf_map_delete_elem(&bios, &key);
	return true;
}

static __always_inline bool bio_is_kept(const struct bio *bio)
{
	struct bio_place *place = bio_place(bio);
	u64 key = (u64)bio;

	return (place && place->bio == key) || bpf_map_lookup_elem(&bios, &key);
}

/*
 * Programs are attached in the order in which they stand here: the end of a request first and its making
 * last, or one that is made while they are attached would be on its way for ever.
 */

/* --- the end --- */

SEC("tp_btf/block_rq_complete")
int BPF_PROG(complete, struct request *rq, int status, unsigned int done_bytes)
{
	struct underway *u = underway_of(rq);

	if (!u)
		return 0;
	if (!u->err)
		u->err = request_errno(status);
	if (rq->__data_len > done_bytes)
		return 0; /* in part: the rest is still to come */
	/* an empty flush completes without having been issued: the queue's own flush was it */
	if (u->issued) {
		u->device_ns += bpf_ktime_get_ns() - u->asked.since_ns;
		request_comes(u);
	}
	if (u->tries)
		request_ended(ctx, rq, u);
	underway_over(u);
	return 0;
}

/* --- waiting and being served --- */

/* Who asked for a request whose making wasn't seen: by its first bio, or for a flush by its queue. */
static __always_inline bool asked_late(struct request *rq, u64 now, bool by_bio, struct asked *ret_asked)
{
	u64 q = (u64)rq->q;
	struct asked *asked;

	if (rq->bio)
		return by_bio && bio_take(rq->bio, ret_asked);
	if ((rq->cmd_flags & REQ_OP_MASK) != REQ_OP_FLUSH)
		return false;
	asked = bpf_map_lookup_elem(&flushers, &q);
	if (!asked)
		return false;
	*ret_asked = *asked;
	ret_asked->since_ns = now;
	ret_asked->tag_ns = ret_asked->inode = ret_asked->via = 0;
	return true;
}

/* Its state. */
static __always_inline struct underway *underway_late(struct request *rq, u64 now, bool by_bio)
{
	struct underway *made;
	struct asked asked;

	if (!asked_late(rq, now, by_bio, &asked))
		return NULL;
	made = underway_cleared(rq, underway_entry(rq));
	if (!made)
		return NULL;
	made->asked = asked;
	underway_live(made);
	return made;
}

static __always_inline int request_issued(struct request *rq, bool by_bio)
{
	u64 now = bpf_ktime_get_ns();
	struct underway *u = underway_of(rq);

	if (u && u->issued && by_bio && rq->bio && bio_is_kept(rq->bio)) { /* its end was missed */
		request_comes(u);
		u = NULL;
	}
	if (!u)
		u = underway_late(rq, now, by_bio);
	if (!u || u->issued)
		return 0;
	if (!u->tries) {
		u->sector = rq->bio ? rq->__sector : 0;
		u->size_bytes = rq->__data_len;
		u->opf = rq->cmd_flags;
		if (!u->device)
			u->device = request_device(rq);
	}
	u->tries++;
	u->issued = true;
	u->queue_ns += now - u->asked.since_ns;
	u->asked.since_ns = now;
	request_goes(rq, u);
	return 0;
}

static __always_inline int request_given_back(struct request *rq)
{
	u64 now = bpf_ktime_get_ns();
	struct underway *u = underway_of(rq);

	if (!u || !u->issued)
		return 0;
	u->issued = false;
	u->device_ns += now - u->asked.since_ns;
	u->asked.since_ns = now;
	request_comes(u);
	return 0;
}

/* Merged into another request, which will be told. Drivers that take several at once may have given it
 * back without a word before. */
static __always_inline int request_gone(struct request *rq)
{
	struct underway *u = underway_of(rq);

	if (!u)
		return 0;
	if (u->issued)
		request_comes(u);
	underway_over(u);
	return 0;
}

ALT(request, 1) NEED("tp block/block_io_start")
SEC("?tp_btf/block_rq_issue") int BPF_PROG(issue, struct request *rq)
{
	return request_issued(rq, false);
}

ALT(request, 1) SEC("?tp_btf/block_rq_requeue") int BPF_PROG(requeue, struct request *rq)
{
	return request_given_back(rq);
}

ALT(request, 1) SEC("?tp_btf/block_rq_merge") int BPF_PROG(merge, struct request *rq)
{
	return request_gone(rq);
}

ALT(request, 2) NEED("tpargs block_rq_issue 1")
SEC("?tp_btf/block_rq_issue") int BPF_PROG(issue_pre65, struct request *rq)
{
	return request_issued(rq, true);
}

ALT(request, 2) SEC("?tp_btf/block_rq_requeue") int BPF_PROG(requeue_pre65, struct request *rq)
{
	return request_given_back(rq);
}

ALT(request, 2) SEC("?tp_btf/block_rq_merge") int BPF_PROG(merge_pre65, struct request *rq)
{
	return request_gone(rq);
}

/* the queue argument of these three was dropped in 5.11 and 5.10.137 (a54895fa057c) */
ALT(request, 3) NEED("tpargs block_rq_issue 2")
SEC("?tp_btf/block_rq_issue")
int BPF_PROG(issue_510, struct request_queue *q, struct request *rq)
{
	return request_issued(rq, true);
}

ALT(request, 3)
SEC("?tp_btf/block_rq_requeue")
int BPF_PROG(requeue_510, struct request_queue *q, struct request *rq)
{
	return request_given_back(rq);
}

ALT(request, 3)
SEC("?tp_btf/block_rq_merge")
int BPF_PROG(merge_510, struct request_queue *q, struct request *rq)
{
	return request_gone(rq);
}

/* --- submission --- */

/* The bio that a thread submits. What is split off a large one has its sectors, and waits since then. */
struct submitted {
	u64 at_ns;
	u64 sector;
	u64 switches;
	u32 sectors;
	u32 tid;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, u32); /* lower bits of the thread's id */
	__type(value, struct submitted);
} submitted SEC(".maps");

static __always_inline struct submitted *submitted_by(u32 tid)
{
	u32 place = tid & 16383;

	return bpf_map_lookup_elem(&submitted, &place);
}

static __always_inline int bio_submitted(struct bio *bio)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct submitted *s = submitted_by(tid);

	if (!s)
		return 0;
	s->at_ns = bpf_ktime_get_ns();
	s->sector = bio->bi_iter.bi_sector;
	s->sectors = bio->bi_iter.bi_size >> 9;
	s->switches = current_switches();
	s->tid = tid;
	return 0;
}

/* Since when a request that the thread has now waits for the driver, and how long it had waited before. Who
 * waits for a request sleeps: who hasn't slept has waited since the submission, and the clock isn't read. */
static __always_inline void asked_since(struct asked *asked, u32 tid, u64 sector)
{
	struct submitted *s = submitted_by(tid);

	if (!s || s->tid != tid || sector - s->sector >= s->sectors) {
		asked->since_ns = bpf_ktime_get_ns();
		return;
	}
	if (SWITCHES_KNOWN && s->switches == current_switches()) {
		asked->since_ns = s->at_ns;
		return;
	}
	asked->since_ns = bpf_ktime_get_ns();
	asked->tag_ns = asked->since_ns - s->at_ns;
}

#define TAG_WAIT OPTIONAL("waiting for a free request")

ALT(submit, 1) TAG_WAIT NEED("tpargs block_bio_queue 1")
SEC("?tp_btf/block_bio_queue") int BPF_PROG(submit, struct bio *bio)
{
	return bio_submitted(bio);
}

/* the queue argument of these was dropped in 5.11 (e8a676d61c07) */
ALT(submit, 2) TAG_WAIT NEED("tpargs block_bio_queue 2")
SEC("?tp_btf/block_bio_queue")
int BPF_PROG(submit_510, struct request_queue *q, struct bio *bio)
{
	return bio_submitted(bio);
}

/* --- who asks --- */

DIRTIED(OPTIONAL("who wrote what the kernel's write-back writes"))

static __noinline int page_dirtied(struct inode *inode, u64 bytes)
{
	struct cause *known = dirtier_of(inode);

	if (known && known->task.pid == bpf_get_current_pid_tgid() >> 32)
		return 0;
	return dirtier_keep(inode);
}

/* The file, and for write-back who wrote it. */
static __always_inline void asked_of_file(struct asked *asked, struct bio *bio)
{
	bool written_back = (bio->bi_opf & REQ_OP_MASK) == REQ_OP_WRITE &&
			    BPF_CORE_READ(current_task(), flags) & PF_WQ_WORKER;
	struct inode *inode;
	struct cause *dirtier;

	if (!written_back && !requests_want_inode())
		return;
	inode = bio_inode(bio);
	if (!inode)
		return;
	asked->inode = BPF_CORE_READ(inode, i_ino);
	dirtier = written_back ? dirtier_of(inode) : NULL;
	if (dirtier)
		asked->cause = *dirtier;
}

static __always_inline void asked_now(struct asked *asked, struct bio *bio, u64 sector)
{
	u64 id = bpf_get_current_pid_tgid();

	asked_since(asked, id, sector);
	if (requests_want_cgroup())
		asked->charged_cgroup = bio_cgroup(bio);
	if (requests_want_via())
		asked->via = bio_sent_by(bio);
	cause_now_id(&asked->cause, id);
	asked_of_file(asked, bio);
}

static __always_inline void flusher_keep(struct request_queue *q, u32 opf, struct asked *asked)
{
	u64 key = (u64)q;

	if (opf_has(opf, REQ_PREFLUSH) || opf_has(opf, REQ_FUA))
		bpf_map_update_elem(&flushers, &key, asked, BPF_ANY);
}

ALT(start, 1) SEC("?tp_btf/block_io_start") int BPF_PROG(request_made, struct request *rq)
{
	struct underway *made = underway_entry(rq);

	if (made && made->live && made->issued) /* its end was missed */
		request_comes(made);
	made = underway_cleared(rq, made);
	if (!made)
		return 0;
	made->sector = rq->__sector; /* these are set anew when it is issued, after merges */
	made->size_bytes = rq->__data_len;
	made->opf = rq->cmd_flags;
	made->device = request_device(rq);
	asked_now(&made->asked, rq->bio, made->sector);
	flusher_keep(rq->q, rq->cmd_flags, &made->asked);
	underway_live(made);
	return 0;
}

static __noinline int bio_taken(struct bio *bio, struct request_queue *q)
{
	struct asked asked = {};

	asked_now(&asked, bio, bio->bi_iter.bi_sector);
	flusher_keep(q, bio->bi_opf, &asked);
	if (bio_keep(bio, &asked))
		count_lost(LOSS_STATE);
	return 0;
}

ALT(start, 2) NEED("tpargs block_getrq 1")
SEC("?tp_btf/block_getrq") int BPF_PROG(bio_gets_request, struct bio *bio)
{
	return bio_taken(bio, bio_queue(bio));
}

ALT(start, 2) NEED("tpargs block_bio_frontmerge 1")
SEC("?tp_btf/block_bio_frontmerge") int BPF_PROG(bio_goes_first, struct bio *bio)
{
	return bio_taken(bio, bio_queue(bio));
}

ALT(start, 3) NEED("tpargs block_getrq 3")
SEC("?tp_btf/block_getrq")
int BPF_PROG(bio_gets_request_510, struct request_queue *q, struct bio *bio)
{
	return bio_taken(bio, q);
}

ALT(start, 3) NEED("tpargs block_bio_frontmerge 3")
SEC("?tp_btf/block_bio_frontmerge")
int BPF_PROG(bio_goes_first_510, struct request_queue *q, struct request *rq, struct bio *bio)
{
	return bio_taken(bio, q);
}

/* For a sweep: is `u`, a copy of the entry `now`, still with the driver? If not its end was missed, and it
 * is forgotten: a program doesn't see what happens while it runs itself on that CPU. The kernel says that a
 * request is under way only a little after it has been seen to go. */
#define UNDERWAY_SOON_NS 10000000
static __always_inline bool request_is_out(struct underway *now, struct underway *u)
{
	struct request *rq = (struct request *)u->request;

	if (bpf_ktime_get_ns() - u->asked.since_ns < UNDERWAY_SOON_NS ||
	    BPF_CORE_READ(rq, state) != MQ_RQ_IDLE)
		return true;
	request_comes(u);
	underway_forgotten(now);
	return false;
}

/* SWEEP_REQUESTS(name, look, ms): runs look(ctx, entry) so often for each entry, in two programs. What is
 * given before it is both's. */
#define SWEEP_REQUESTS(name, look, ms, ...)                                                        \
	__VA_ARGS__ OVER(underway_places) EVERY(ms)                                                \
	SEC("iter/bpf_map_elem") int name(struct bpf_iter__bpf_map_elem *ctx)                      \
	{                                                                                          \
		return look(ctx, ctx->value);                                                      \
	}                                                                                          \
	__VA_ARGS__ OVER(underway_others) EVERY(ms)                                                \
	SEC("iter/bpf_map_elem") int name##_others(struct bpf_iter__bpf_map_elem *ctx)             \
	{                                                                                          \
		return look(ctx, ctx->value);                                                      \
	}

/* --- how it was asked for --- */

enum request_flag {
	REQUEST_SYNC = 1 << 0,
	REQUEST_META = 1 << 1,
	REQUEST_PRIO = 1 << 2,
	REQUEST_IDLE = 1 << 3,
	REQUEST_FUA = 1 << 4,
	REQUEST_PREFLUSH = 1 << 5,
	REQUEST_RAHEAD = 1 << 6,
	REQUEST_BACKGROUND = 1 << 7,
	REQUEST_NOWAIT = 1 << 8,
	REQUEST_SWAP = 1 << 9,
};

static __noinline u32 request_flags(u32 opf)
{
	u32 flags = 0;

#define FLAG(name)                                                                                 \
	if (opf_has(opf, REQ_##name))                                                              \
		flags |= REQUEST_##name;
	FLAG(SYNC)
	FLAG(META)
	FLAG(PRIO)
	FLAG(IDLE)
	FLAG(FUA)
	FLAG(PREFLUSH)
	FLAG(RAHEAD)
	FLAG(BACKGROUND)
	FLAG(NOWAIT)
	FLAG(SWAP)
#undef FLAG
	return flags;
}
