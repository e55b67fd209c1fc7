/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Every request that a block device was given, from the moment the request was made for a bio to
 * its completion. Who caused it is asked then, in the context of the process that submits the bio:
 * at completion `current` is whoever was interrupted.
 *
 * A request is told once, when its last byte is done. Requests made before the probe was attached
 * are not told and not counted: nobody knows since when they wait, nor for whom.
 */
#include "sonda.bpf.h"

#include "kernel/block.h"
#include "sonda/cause.h"

PROBE(io, "block", "Requests that block devices carried out, with the time they waited and took");
FILTERS("task errors min");

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

EVENT(io, "One request completed by a block device") {
	struct task task; /* who submitted the first bio; a kernel thread for write-back */
	u32 device KIND("device") DOC("the whole disk");
	enum req_op op DOC("operation");
	enum request_flag flags FLAGS DOC("how it was asked for");
	u32 size_bytes KIND("bytes") DOC("size when it was first given to the driver");
	u64 sector KIND("sector") DOC("first sector on the whole disk, in units of 512 bytes; "
				   "0 for a flush");
	u64 took_ns KIND("duration") DOC("from the making of the request to its completion");
	u64 queue_ns KIND("duration") DOC("of it waiting: plugged, in the I/O scheduler, requeued; "
					  "0 for a flush, which is made when it is sent");
	u64 device_ns KIND("duration") DOC("of it with the driver and the device");
	u32 requeues HIDE DOC("times the driver gave it back to be tried again");
	s32 err KIND("errno") DOC("0, or why it failed");
	u64 charged_cgroup KIND("cgroup") HIDE DOC("cgroup the I/O is charged to: also for "
						   "write-back the one that wrote");
};

struct io_labels {
	u32 device KIND("device");
	enum req_op op;
	char comm[16] KIND("comm");
	u64 charged_cgroup KIND("cgroup");
};
struct io_values {
	u64 ios COUNTER DOC("requests completed");
	u64 errors COUNTER DOC("requests that failed");
	u64 bytes COUNTER UNIT("bytes") DOC("bytes moved or discarded");
	HIST_LOG2(queue_ns, 36, UNIT("ns") DOC("time waiting for the driver"));
	HIST_LOG2(device_ns, 36, UNIT("ns") DOC("time with the driver and the device"));
};
METRICS(io, struct io_labels, struct io_values, 2048, "Block I/O");

/* Who wants a bio done, and since when. */
struct asked {
	struct cause cause;
	u64 charged_cgroup;
	u64 since_ns; /* once underway: of the last change between waiting and being served */
};
struct underway {
	struct asked asked;
	u64 queue_ns;
	u64 device_ns;
	u64 sector;
	u32 size_bytes;
	u32 opf;
	u32 tries;
	s32 err;
	bool issued;
	u8 pad[7];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64); /* struct request */
	__type(value, struct underway);
} underway SEC(".maps");

/* Before 6.5 no hook shows request and submitter together, so who asked is kept by bio until
 * the request is issued. LRU, because a bio that is merged away is never heard of again. */
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

static __always_inline void asked_now(struct asked *asked, struct bio *bio)
{
	asked->since_ns = bpf_ktime_get_ns();
	asked->charged_cgroup = bio_cgroup(bio);
	cause_now(&asked->cause);
}

static __always_inline void flusher_keep(struct request_queue *q, u32 opf, struct asked *asked)
{
	u64 key = (u64)q;

	if (opf_has(opf, REQ_PREFLUSH) || opf_has(opf, REQ_FUA))
		bpf_map_update_elem(&flushers, &key, asked, BPF_ANY);
}

ALT(start, 1) SEC("?tp_btf/block_io_start") int BPF_PROG(request_made, struct request *rq)
{
	struct underway made = {};
	u64 key = (u64)rq;

	asked_now(&made.asked, rq->bio);
	flusher_keep(rq->q, rq->cmd_flags, &made.asked);
	if (bpf_map_update_elem(&underway, &key, &made, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __noinline int bio_taken(struct bio *bio, struct request_queue *q)
{
	struct asked asked = {};
	u64 key = (u64)bio;

	asked_now(&asked, bio);
	flusher_keep(q, bio->bi_opf, &asked);
	if (bpf_map_update_elem(&bios, &key, &asked, BPF_ANY))
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

/* the queue argument of these two was dropped in 5.11 (e8a676d61c07) */
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

/* The state of a request whose making wasn't seen: by its first bio, or for a flush by its queue. */
static __always_inline struct underway *underway_late(struct request *rq, u64 now)
{
	struct underway made = {};
	u64 key = (u64)rq, bio = (u64)rq->bio, q = (u64)rq->q;
	struct asked *asked;

	if (bio)
		asked = bpf_map_lookup_elem(&bios, &bio);
	else if ((rq->cmd_flags & REQ_OP_MASK) == REQ_OP_FLUSH)
		asked = bpf_map_lookup_elem(&flushers, &q);
	else
		asked = NULL;
	if (!asked)
		return NULL;
	made.asked = *asked;
	if (bio)
		bpf_map_delete_elem(&bios, &bio);
	else
		made.asked.since_ns = now;
	if (bpf_map_update_elem(&underway, &key, &made, BPF_ANY))
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&underway, &key);
}

static __noinline int request_issued(struct request *rq)
{
	u64 key = (u64)rq, now = bpf_ktime_get_ns();
	struct underway *u = bpf_map_lookup_elem(&underway, &key);

	if (!u)
		u = underway_late(rq, now);
	if (!u || u->issued)
		return 0;
	if (!u->tries) {
		u->sector = rq->bio ? rq->__sector : 0;
		u->size_bytes = rq->__data_len;
		u->opf = rq->cmd_flags;
	}
	u->tries++;
	u->issued = true;
	u->queue_ns += now - u->asked.since_ns;
	u->asked.since_ns = now;
	return 0;
}

static __noinline int request_given_back(struct request *rq)
{
	u64 key = (u64)rq, now = bpf_ktime_get_ns();
	struct underway *u = bpf_map_lookup_elem(&underway, &key);

	if (!u || !u->issued)
		return 0;
	u->issued = false;
	u->device_ns += now - u->asked.since_ns;
	u->asked.since_ns = now;
	return 0;
}

/* merged into another request, which will be told */
static __noinline int request_gone(struct request *rq)
{
	u64 key = (u64)rq;

	bpf_map_delete_elem(&underway, &key);
	return 0;
}

ALT(request, 1) NEED("tpargs block_rq_issue 1")
SEC("?tp_btf/block_rq_issue") int BPF_PROG(issue, struct request *rq)
{
	return request_issued(rq);
}

ALT(request, 1) SEC("?tp_btf/block_rq_requeue") int BPF_PROG(requeue, struct request *rq)
{
	return request_given_back(rq);
}

ALT(request, 1) SEC("?tp_btf/block_rq_merge") int BPF_PROG(merge, struct request *rq)
{
	return request_gone(rq);
}

/* the queue argument of these three was dropped in 5.11 and 5.10.137 (a54895fa057c) */
ALT(request, 2) NEED("tpargs block_rq_issue 2")
SEC("?tp_btf/block_rq_issue")
int BPF_PROG(issue_510, struct request_queue *q, struct request *rq)
{
	return request_issued(rq);
}

ALT(request, 2)
SEC("?tp_btf/block_rq_requeue")
int BPF_PROG(requeue_510, struct request_queue *q, struct request *rq)
{
	return request_given_back(rq);
}

ALT(request, 2)
SEC("?tp_btf/block_rq_merge")
int BPF_PROG(merge_510, struct request_queue *q, struct request *rq)
{
	return request_gone(rq);
}

static __always_inline void count_request(struct underway *u, u32 device)
{
	struct io_labels key = {};
	struct io_values *row;

	if (label(io, 0))
		key.device = device;
	if (label(io, 1))
		key.op = u->opf & REQ_OP_MASK;
	if (label(io, 2))
		__builtin_memcpy(key.comm, u->asked.cause.task.comm, sizeof(key.comm));
	if (label(io, 3))
		key.charged_cgroup = u->asked.charged_cgroup;
	row = row_of(io, &key);
	if (!row)
		return;
	add(row->ios, 1);
	add(row->errors, u->err ? 1 : 0);
	add(row->bytes, u->size_bytes);
	observe(row->queue_ns, u->queue_ns);
	observe(row->device_ns, u->device_ns);
}

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

static __always_inline void tell_request(void *ctx, struct underway *u, u32 device)
{
	struct io *e = event_new(io);

	if (!e)
		return;
	e->task = u->asked.cause.task;
	e->device = device;
	e->op = u->opf & REQ_OP_MASK;
	e->flags = request_flags(u->opf);
	e->size_bytes = u->size_bytes;
	e->sector = u->sector;
	e->took_ns = u->queue_ns + u->device_ns;
	e->queue_ns = u->queue_ns;
	e->device_ns = u->device_ns;
	e->requeues = u->tries - 1;
	e->err = u->err;
	e->charged_cgroup = u->asked.charged_cgroup;
	event_send(ctx, e);
}

static __always_inline void request_done(void *ctx, struct underway *u, struct request *rq)
{
	u32 device = request_device(rq);

	u->device_ns += bpf_ktime_get_ns() - u->asked.since_ns;
	if (!cause_wanted(&u->asked.cause) || !notable(u->err, u->queue_ns + u->device_ns))
		return;
	if (tables_wanted())
		count_request(u, device);
	if (events_wanted())
		tell_request(ctx, u, device);
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(complete, struct request *rq, int status, unsigned int done_bytes)
{
	u64 key = (u64)rq;
	struct underway *u = bpf_map_lookup_elem(&underway, &key);

	if (!u)
		return 0;
	if (!u->err)
		u->err = request_errno(status);
	if (rq->__data_len > done_bytes)
		return 0; /* in part: the rest is still to come */
	/* an empty flush completes without having been issued: the queue's own flush was it */
	if (u->tries)
		request_done(ctx, u, rq);
	bpf_map_delete_elem(&underway, &key);
	return 0;
}
