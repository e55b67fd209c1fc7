/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Every request that a block device was given, from the submission of its first bio to its completion,
 * told once, when its last byte is done. sonda/requests.h has the life of a request.
 */
#include "sonda.bpf.h"

#include "kernel/block.h"

PROBE(io, "block", "Requests that block devices carried out, with the time they waited and took");
FILTERS("task errors min");

/* Does a request begin where the process's one before ended? */
enum io_pattern {
	PATTERN_RANDOM,
	PATTERN_SEQUENTIAL,
};

struct io_labels {
	u32 device KIND("device");
	enum req_op op;
	char comm[16] KIND("comm") DOC("who asked; for write-back who wrote the file");
	enum io_pattern pattern HIDE DOC("does it begin where the process's one before ended?");
	u32 pid HIDE KIND("pid") DOC("process");
	u64 charged_cgroup HIDE KIND("cgroup") DOC("cgroup the I/O is charged to");
	u64 inode HIDE KIND("inode") DOC("file whose pages it carries; 0 for I/O past the page cache");
	u32 partition HIDE KIND("device") DOC("where it was sent to: a partition, or the whole disk");
	u32 via HIDE KIND("device") DOC("device of device mapper or md that sent it to this disk");
};
struct io_values {
	u64 ios COUNTER DOC("requests completed");
	u64 errors COUNTER DOC("requests that failed");
	u64 random COUNTER DOC("requests that did not begin where the process's one before ended");
	u64 bytes COUNTER UNIT("bytes") DOC("bytes moved or discarded");
	HIST_LOG2(took_ns, 36, UNIT("ns") DOC("the whole time, as who asked for it saw it"));
	HIST_LOG2(tag_ns, 36, HIDE UNIT("ns") DOC("of it time waiting for a free request"));
	HIST_LOG2(queue_ns, 36, UNIT("ns") DOC("of it time waiting for the driver"));
	HIST_LOG2(device_ns, 36, UNIT("ns") DOC("of it time with the driver and the device"));
	HIST_LOG2(size_bytes, 28, HIDE UNIT("bytes") DOC("size of the requests"));
	HIST_LOG2(depth, 16, HIDE DOC("requests that the driver had with it when it was given one"));
};
METRICS(io, struct io_labels, struct io_values, 2048, "Block I/O");
FRONT(io, struct io_labels, struct io_values, 512);

#define requests_want_inode()  (events_wanted() || label(io, 6))
#define requests_want_cgroup() (events_wanted() || label(io, 5))
#define requests_want_via()    (events_wanted() || label(io, 8))
static __always_inline u32 bio_sent_by(struct bio *bio);
#include "sonda/requests.h"

EVENT(io, "One request completed by a block device") {
	struct task task; /* who submitted the first bio; for write-back who dirtied the page */
	u32 device KIND("device") DOC("the whole disk");
	enum req_op op DOC("operation");
	enum request_flag flags FLAGS DOC("how it was asked for");
	enum io_pattern pattern HIDE DOC("does it begin where the process's one before ended?");
	u32 size_bytes KIND("bytes") DOC("size when it was first given to the driver");
	u64 sector KIND("sector") DOC("first sector on the whole disk, in units of 512 bytes; "
				   "0 for a flush");
	u64 took_ns KIND("duration") DOC("from the submission to the completion");
	u64 tag_ns KIND("duration") DOC("of it waiting for a free request");
	u64 queue_ns KIND("duration") DOC("of it waiting: plugged, in the I/O scheduler, requeued; "
					  "0 for a flush, which is made when it is sent");
	u64 device_ns KIND("duration") DOC("of it with the driver and the device");
	u64 inode KIND("inode") HIDE DOC("file whose pages it carries; 0 for I/O past the page cache");
	u32 partition KIND("device") HIDE DOC("where it was sent to: a partition, or the whole disk");
	u64 partition_sector KIND("sector") HIDE DOC("first sector there");
	u32 via KIND("device") HIDE DOC("device of device mapper or md that sent it to this disk, the "
					"nearest; 0:0: none");
	u32 bios HIDE DOC("bios it carries: 1, and those merged with it; 128 is that or more");
	u32 depth HIDE DOC("requests that the driver had, with it, when it was given this one");
	u32 requeues HIDE DOC("times the driver gave it back to be tried again");
	s32 err KIND("errno") DOC("0, or why it failed");
	u64 charged_cgroup KIND("cgroup") HIDE DOC("cgroup the I/O is charged to: also for "
						   "write-back the one that wrote");
};

/* --- pattern and depth: what is known when the driver gets it --- */

/* Where a process's last request on a disk ended. Who has the same place begins anew. */
struct stream {
	u64 who;
	u64 next_sector;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct stream);
} streams SEC(".maps");

/* Requests that a device's driver was given, and that it brought back. In a place that the device's
 * number gives, or, where that is another's, in a hash map. */
struct traffic {
	u64 gone;
	u64 come;
	u64 claims; /* of a place */
	u64 device;
};
#define TRAFFIC_PLACE_BITS 10
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << TRAFFIC_PLACE_BITS);
	__type(key, u32);
	__type(value, struct traffic);
} traffic_places SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32); /* the kernel's device number */
	__type(value, struct traffic);
} traffics SEC(".maps");

static __always_inline struct traffic *traffic_near(u32 device)
{
	u32 place = device * 0x9e3779b1u >> (32 - TRAFFIC_PLACE_BITS);
	struct traffic *traffic;

	if (!device)
		return NULL;
	traffic = bpf_map_lookup_elem(&traffic_places, &place);
	if (!traffic || traffic->device == device)
		return traffic;
	if (!front_claimed(&traffic->claims))
		return NULL;
	traffic->device = device;
	return traffic;
}

static __always_inline struct traffic *traffic_far(u32 device)
{
	struct traffic *traffic = bpf_map_lookup_elem(&traffics, &device), none = {};

	if (traffic)
		return traffic;
	bpf_map_update_elem(&traffics, &device, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&traffics, &device);
}

static __always_inline bool stream_goes_on(const struct underway *u)
{
	u64 who = (u64)u->asked.cause.task.pid << 32 | u->device;
	u32 place = (u->asked.cause.task.pid * 31 + u->device) & 4095;
	struct stream *stream = bpf_map_lookup_elem(&streams, &place);
	bool goes_on;

	if (!stream)
		return false;
	goes_on = stream->who == who && stream->next_sector == u->sector;
	stream->who = who;
	stream->next_sector = u->sector + (u->size_bytes >> 9);
	return goes_on;
}

static __always_inline void request_goes(struct request *rq, struct underway *u)
{
	struct traffic *traffic = traffic_near(u->device);

	u->near = traffic;
	if (!traffic)
		traffic = traffic_far(u->device);
	if (traffic)
		add(traffic->gone, 1);
	if (u->tries != 1)
		return;
	if (traffic)
		u->depth = *(volatile u64 *)&traffic->gone - *(volatile u64 *)&traffic->come;
	if (u->size_bytes)
		u->sequential = stream_goes_on(u);
	if (events_wanted())
		request_bios(rq, &u->bios);
}

static __always_inline void request_comes(struct underway *u)
{
	struct traffic *traffic = u->near ? traffic_near(u->device) : traffic_far(u->device);

	if (traffic)
		add(traffic->come, 1);
}

/* --- where it was sent to, and by whom --- */

/* Bios that device mapper or md sent on, and where they came from, until a request is made of them, they are
 * merged into one, or end. LRU: that may be missed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64); /* struct bio */
	__type(value, u32);
} sent_on SEC(".maps");
bool is_stacked; /* there are such: without them bios are not looked up */

static __noinline int bio_sent_on(struct bio *bio, u32 device)
{
	u64 key = (u64)bio;

	if (bio_left_partition(bio, device))
		return 0;
	is_stacked = true;
	if (bpf_map_update_elem(&sent_on, &key, &device, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __always_inline int bio_arrived(struct bio *bio)
{
	u64 key = (u64)bio;

	if (is_stacked)
		bpf_map_delete_elem(&sent_on, &key);
	return 0;
}

/* The device that sent the bio, of which a request is made now. What the block layer splits off a large bio
 * points to that, whose turn is still to come. */
static __always_inline u32 bio_sent_by(struct bio *bio)
{
	u64 key = (u64)bio;
	u32 *from, device;

	if (!is_stacked)
		return 0;
	from = bpf_map_lookup_elem(&sent_on, &key);
	if (from) {
		device = *from;
		bpf_map_delete_elem(&sent_on, &key);
		return device;
	}
	key = (u64)BPF_CORE_READ(bio, bi_private);
	from = bpf_map_lookup_elem(&sent_on, &key);
	return from ? *from : 0;
}

/* A path of NVMe multipath is the disk itself. */
static __always_inline u32 sent_by(const struct underway *u)
{
	return u->asked.via != u->device ? u->asked.via : 0;
}

/* --- the end --- */

#define LABELS_SELDOM (1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 8)
static __always_inline void label_seldom(struct io_labels *key, struct request *rq,
					 const struct underway *u)
{
	u64 begins;

	if (label(io, 3))
		key->pattern = u->sequential;
	if (label(io, 4))
		key->pid = u->asked.cause.task.pid;
	if (label(io, 5))
		key->charged_cgroup = u->asked.charged_cgroup;
	if (label(io, 6))
		key->inode = u->asked.inode;
	if (label(io, 7)) {
		key->partition = u->device;
		request_place(rq, &key->partition, &begins);
	}
	if (label(io, 8))
		key->via = sent_by(u);
}

/* Returns a number of them. */
static __always_inline u64 label_request(struct io_labels *key, struct request *rq,
					 const struct underway *u)
{
	const u32 often = __builtin_offsetof(struct io_labels, pattern);
	u64 id;

	if (label(io, 0))
		key->device = u->device;
	if (label(io, 1))
		key->op = u->opf & REQ_OP_MASK;
	if (label(io, 2))
		__builtin_memcpy(key->comm, u->asked.cause.task.comm, sizeof(key->comm));
	id = labels_id(key, often, 0);
	if (!any_label(io, LABELS_SELDOM))
		return id;
	label_seldom(key, rq, u);
	return labels_id((const void *)key + often, sizeof(*key) - often, id);
}

static __always_inline void count_request(struct request *rq, struct underway *u)
{
	struct io_labels key = {};
	struct io_values *row;
	u64 id;

	id = label_request(&key, rq, u);
	row = front_row(io, id) ?: front_begin(io, id, &key);
	if (!row)
		return;
	add(row->ios, 1);
	if (u->err)
		add(row->errors, 1);
	if (u->size_bytes && !u->sequential)
		add(row->random, 1);
	add(row->bytes, u->size_bytes);
	observe(row->took_ns, request_took(u));
	observe(row->tag_ns, u->asked.tag_ns);
	observe(row->queue_ns, u->queue_ns);
	observe(row->device_ns, u->device_ns);
	observe(row->size_bytes, u->size_bytes);
	observe(row->depth, u->depth);
}

static __always_inline void tell_request(void *ctx, struct request *rq, struct underway *u)
{

	struct io *e = event_new(io);

	if (!e)
		return;
	e->task = u->asked.cause.task;
	e->device = u->device;
	e->op = u->opf & REQ_OP_MASK;
	e->flags = request_flags(u->opf);
	e->pattern = u->sequential;
	e->size_bytes = u->size_bytes;
	e->sector = u->sector;
	e->took_ns = request_took(u);
	e->tag_ns = u->asked.tag_ns;
	e->queue_ns = u->queue_ns;
	e->device_ns = u->device_ns;
	e->inode = u->asked.inode;
	e->partition = u->device;
	request_place(rq, &e->partition, &e->partition_sector);
	e->partition_sector = u->sector - e->partition_sector;
	e->via = sent_by(u);
	e->bios = u->bios;
	e->depth = u->depth;
	e->requeues = u->tries - 1;
	e->err = u->err;
	e->charged_cgroup = u->asked.charged_cgroup;
	event_send(ctx, e);
}

static __always_inline void request_ended(void *ctx, struct request *rq, struct underway *u)
{
	if (!cause_wanted(&u->asked.cause) || !notable(u->err, request_took(u)))
		return;
	if (tables_wanted())
		count_request(rq, u);
	if (events_wanted())
		tell_request(ctx, rq, u);
}

/* --- device mapper and md --- */

#define VIA(rank, remap_args, tracepoint)                                                          \
	ALT(via, rank) IF_WANTED(io, 8) OPTIONAL("which device of device mapper or md sent it")    \
	NEED("tpargs block_bio_remap " #remap_args) SEC("?tp_btf/" tracepoint)

VIA(1, 3, "block_bio_remap")
int BPF_PROG(bio_remapped, struct bio *bio, u32 device, u64 sector)
{
	return bio_sent_on(bio, device);
}

VIA(1, 3, "block_bio_backmerge") int BPF_PROG(bio_merges_back, struct bio *bio)
{
	return bio_arrived(bio);
}

VIA(1, 3, "block_bio_frontmerge") int BPF_PROG(bio_merges_front, struct bio *bio)
{
	return bio_arrived(bio);
}

VIA(1, 3, "block_bio_complete") int BPF_PROG(bio_ends, struct request_queue *q, struct bio *bio)
{
	return bio_arrived(bio);
}

/* the queue argument of these was dropped in 5.11 (1c02fca620f7, e8a676d61c07) */
VIA(2, 4, "block_bio_remap")
int BPF_PROG(bio_remapped_510, struct request_queue *q, struct bio *bio, u32 device, u64 sector)
{
	return bio_sent_on(bio, device);
}

VIA(2, 4, "block_bio_backmerge")
int BPF_PROG(bio_merges_back_510, struct request_queue *q, struct request *rq, struct bio *bio)
{
	return bio_arrived(bio);
}

VIA(2, 4, "block_bio_frontmerge")
int BPF_PROG(bio_merges_front_510, struct request_queue *q, struct request *rq, struct bio *bio)
{
	return bio_arrived(bio);
}

VIA(2, 4, "block_bio_complete")
int BPF_PROG(bio_ends_510, struct request_queue *q, struct bio *bio)
{
	return bio_arrived(bio);
}
