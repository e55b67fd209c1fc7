/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Block requests that took long, with where the time went and who asked; and those that are still on
 * their way, told again each second until they come. --min says what long is; the table counts them.
 */
#include "sonda.bpf.h"

#include "kernel/iter.h"

PROBE(slow, "block", "Block requests that took long, and those that still hang");
FILTERS("task errors min=50ms tables");

#define requests_want_inode()  events_wanted()
#define requests_want_cgroup() events_wanted()
#include "sonda/requests.h"

enum slow_where {
	WHERE_TAG,    /* for a free request: more is asked for than the queue holds */
	WHERE_QUEUE,  /* for the driver: in the I/O scheduler, plugged, requeued */
	WHERE_DEVICE, /* for the device */
};

EVENT(slow, "A block request took long")
{
	struct task task; /* who submitted the first bio; for write-back who dirtied the page */
	u32 device KIND("device") DOC("the whole disk");
	enum req_op op DOC("operation");
	enum request_flag flags FLAGS HIDE DOC("how it was asked for");
	u32 size_bytes KIND("bytes") DOC("size when it was first given to the driver");
	u64 sector KIND("sector") HIDE DOC("first sector on the whole disk, in units of 512 bytes");
	bool hanging DOC("it is not done yet: the times are those until now");
	enum slow_where where DOC("for what it waited longest: tag, a free request; queue, the "
				  "driver; device");
	u64 took_ns KIND("duration") DOC("since its submission");
	u64 tag_ns KIND("duration") DOC("of it waiting for a free request");
	u64 queue_ns KIND("duration") DOC("of it waiting for the driver");
	u64 device_ns KIND("duration") DOC("of it with the driver and the device");
	u64 inode KIND("inode") DOC("file whose pages it carries; 0 for I/O past the page cache");
	u32 requeues HIDE DOC("times the driver gave it back to be tried again");
	s32 err KIND("errno") DOC("0, or why it failed");
	u64 charged_cgroup KIND("cgroup") HIDE DOC("cgroup the I/O is charged to: also for "
						   "write-back the one that wrote");
};

struct slow_labels {
	u32 device KIND("device");
	enum req_op op;
	enum slow_where where DOC("for what they waited longest");
	char comm[16] KIND("comm") DOC("who asked; for write-back who wrote the file");
	u32 pad;
};
struct slow_values {
	u64 requests COUNTER DOC("requests that took long");
	u64 lost_ns COUNTER UNIT("ns") DOC("time that they took together");
	HIST_LOG2(took_ns, 40, UNIT("ns") DOC("time from submission to completion"));
};
METRICS(slow, struct slow_labels, struct slow_values, 1024, "Slow block requests");

static __always_inline void request_goes(struct request *rq, struct underway *u)
{
}

static __always_inline void request_comes(struct underway *u)
{
}

static __always_inline enum slow_where waited_for(const struct underway *u)
{
	if (u->device_ns >= u->queue_ns && u->device_ns >= u->asked.tag_ns)
		return WHERE_DEVICE;
	return u->queue_ns >= u->asked.tag_ns ? WHERE_QUEUE : WHERE_TAG;
}

static __noinline int tell_slow(void *ctx, const struct underway *u, bool hanging)
{
	struct slow *e = event_new(slow);

	if (!e)
		return 0;
	if (!u) {
		event_drop(e);
		return 0;
	}
	e->task = u->asked.cause.task;
	e->device = u->device;
	e->op = u->opf & REQ_OP_MASK;
	e->flags = request_flags(u->opf);
	e->size_bytes = u->size_bytes;
	e->sector = u->sector;
	e->hanging = hanging;
	e->where = waited_for(u);
	e->took_ns = request_took(u);
	e->tag_ns = u->asked.tag_ns;
	e->queue_ns = u->queue_ns;
	e->device_ns = u->device_ns;
	e->inode = u->asked.inode;
	e->requeues = u->tries ? u->tries - 1 : 0;
	e->err = u->err;
	e->charged_cgroup = u->asked.charged_cgroup;
	event_send(ctx, e);
	return 0;
}

static __always_inline void count_slow(const struct underway *u)
{
	struct slow_labels key = {};
	struct slow_values *row;

	if (label(slow, 0))
		key.device = u->device;
	if (label(slow, 1))
		key.op = u->opf & REQ_OP_MASK;
	if (label(slow, 2))
		key.where = waited_for(u);
	if (label(slow, 3))
		__builtin_memcpy(key.comm, u->asked.cause.task.comm, sizeof(key.comm));
	row = row_of(slow, &key);
	if (!row)
		return;
	add(row->requests, 1);
	add(row->lost_ns, request_took(u));
	observe(row->took_ns, request_took(u));
}

static __always_inline void request_ended(void *ctx, struct request *rq, struct underway *u)
{
	if (!cause_wanted(&u->asked.cause) || !notable(u->err, request_took(u)))
		return;
	if (tables_wanted())
		count_slow(u);
	if (events_wanted())
		tell_slow(ctx, u, false);
}

/* Those that have not come back. */
static __always_inline int hangs(void *ctx, struct underway *now)
{
	struct underway u;
	u64 since_ns;

	if (!now || !now->live || !events_wanted() || sonda_conf.errors_only)
		return 0;
	u = *now;
	if (u.issued && !request_is_out(now, &u))
		return 0;
	if (u.asked.cause.ours || u.asked.cause.unwanted)
		return 0;
	since_ns = bpf_ktime_get_ns() - u.asked.since_ns;
	if ((s64)since_ns < 0)
		return 0;
	if (u.issued)
		u.device_ns += since_ns;
	else
		u.queue_ns += since_ns;
	if (request_took(&u) >= sonda_conf.min_ns)
		tell_slow(ctx, &u, true);
	return 0;
}
SWEEP_REQUESTS(hanging, hangs, 1000, OPTIONAL("requests that still hang"))
