/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How busy disks are, in one row a second for each that had something to do: utilisation, saturation,
 * errors, a verdict in a word, and whose requests take most of the disk's time.
 */
#include "sonda.bpf.h"

#include "kernel/iter.h"

PROBE(busy, "block", "Disks: how busy they are, what requests wait for, and who causes it");

#define requests_want_inode()  false
#define requests_want_cgroup() tables_wanted()
#include "sonda/requests.h"

enum busy_verdict {
	BUSY_LIGHT,     /* little to do */
	BUSY_WORKING,   /* at work for more than half of the time, and keeps up */
	BUSY_WAITING,   /* not the disk: requests wait longer before it (throttled, scheduler) than for it */
	BUSY_SATURATED, /* more is asked of it than it can do: it is the bottleneck */
	BUSY_FAILING,   /* requests failed */
	BUSY_STUCK,     /* it has requests and none has come back */
};

EVENT(busy, "A disk in the last second") {
	u32 device KIND("device") DOC("the whole disk");
	enum busy_verdict verdict
		DOC("light; working: busy and keeps up; waiting: requests wait before the disk, "
		    "throttled or in the scheduler, longer than for it; saturated: it is the "
		    "bottleneck; failing: requests failed; stuck: none came back");
	u32 busy_percent KIND("percent") DOC("part of the time that it had something to do");
	u32 depth DOC("requests that it had at a time while it was busy, on average");
	u64 ios_per_s KIND("rate") DOC("requests completed");
	u64 bytes_per_s KIND("bytes") DOC("bytes moved or discarded in a second");
	u64 device_ns KIND("duration") DOC("time of a request with driver and device, on average");
	u64 wait_ns KIND("duration") DOC("time that it had waited for that, on average");
	u64 errors DOC("requests that failed");
	u32 top_pid KIND("pid") DOC("process whose requests took most of the disk's time");
	char top_comm[16] KIND("comm") DOC("its command name");
	u32 top_percent KIND("percent") DOC("its part of the time that requests took");
};

struct disk_labels {
	u32 device KIND("device");
	u32 pad;
};
struct disk_values {
	u64 busy_ns COUNTER UNIT("ns") DOC("time that the disk had something to do");
	u64 ios COUNTER DOC("requests completed");
	u64 bytes COUNTER UNIT("bytes") DOC("bytes moved or discarded");
	u64 errors COUNTER DOC("requests that failed");
	u64 device_ns COUNTER UNIT("ns") DOC("time of all requests with the driver and the device");
	u64 wait_ns COUNTER UNIT("ns") DOC("time that they had waited before");
	u64 depth GAUGE DOC("requests that the disk has now");
};
METRICS(disks, struct disk_labels, struct disk_values, 256, "Disks");

struct cause_labels {
	u32 device KIND("device");
	u32 pid KIND("pid") HIDE DOC("process");
	char comm[16] KIND("comm") DOC("who asked; for write-back who wrote the file");
	u64 charged_cgroup KIND("cgroup") HIDE DOC("cgroup the I/O is charged to");
};
struct cause_values {
	u64 device_ns COUNTER UNIT("ns") DOC("time of the requests with the driver and the device");
	u64 wait_ns COUNTER UNIT("ns") DOC("time that they had waited before");
	u64 ios COUNTER DOC("requests completed");
	u64 bytes COUNTER UNIT("bytes") DOC("bytes moved or discarded");
};
METRICS(causes, struct cause_labels, struct cause_values, 2048, "Who keeps disks busy");

/* --- counted at each request --- */

/* What is only ever added to. */
struct sums {
	u64 busy_ns; /* but for the stretch that lasts */
	u64 ios;
	u64 bytes;
	u64 errors;
	u64 device_ns;
	u64 wait_ns;
};
struct disk {
	struct sums sums;
	u64 gone, come;    /* requests the driver was given, and that came back */
	u64 busy_since_ns; /* 0: idle */
	u64 fastest_ns;    /* with the device, ever */
	/* only the sweep's */
	struct sums counted, told;
	u64 told_at_ns;
	u64 users_ns, top_ns;
	u32 top_pid;
	u8 top_comm[16];
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u32); /* the kernel's device number */
	__type(value, struct disk);
} disk_states SEC(".maps");

struct user_key {
	u32 device;
	u32 pid;
};
struct user {
	u64 device_ns;
	u64 swept_ns;
	u8 comm[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct user_key);
	__type(value, struct user);
} users SEC(".maps");

static __always_inline struct disk *disk_of(u32 device)
{
	struct disk *disk = bpf_map_lookup_elem(&disk_states, &device);

	if (!disk) {
		static const struct disk none;

		bpf_map_update_elem(&disk_states, &device, &none, BPF_NOEXIST);
		disk = bpf_map_lookup_elem(&disk_states, &device);
		if (disk)
			disk->told_at_ns = bpf_ktime_get_ns();
	}
	return disk;
}

static __always_inline u64 now_of(const u64 *n)
{
	return *(volatile const u64 *)n;
}

static __always_inline void request_goes(struct request *rq, struct underway *u)
{
	struct disk *disk = disk_of(u->device);

	if (!disk)
		return;
	add(disk->gone, 1);
	if (!now_of(&disk->busy_since_ns))
		disk->busy_since_ns = bpf_ktime_get_ns();
}

static __always_inline void request_comes(struct underway *u)
{
	struct disk *disk = disk_of(u->device);
	u64 since_ns, now_ns = bpf_ktime_get_ns();

	if (!disk)
		return;
	add(disk->come, 1);
	since_ns = now_of(&disk->busy_since_ns);
	if (now_of(&disk->gone) != now_of(&disk->come)) {
		if (!since_ns) /* one came back just as another went */
			disk->busy_since_ns = now_ns;
		return;
	}
	disk->busy_since_ns = 0;
	if (since_ns)
		add(disk->sums.busy_ns, now_ns - since_ns);
}

static __always_inline void count_cause(const struct underway *u)
{
	struct cause_labels key = {};
	struct cause_values *row;

	if (label(causes, 0))
		key.device = u->device;
	if (label(causes, 1))
		key.pid = u->asked.cause.task.pid;
	if (label(causes, 2))
		__builtin_memcpy(key.comm, u->asked.cause.task.comm, sizeof(key.comm));
	if (label(causes, 3))
		key.charged_cgroup = u->asked.charged_cgroup;
	row = row_of(causes, &key);
	if (!row)
		return;
	add(row->device_ns, u->device_ns);
	add(row->wait_ns, u->asked.tag_ns + u->queue_ns);
	add(row->ios, 1);
	add(row->bytes, u->size_bytes);
}

static __always_inline void count_user(const struct underway *u)
{
	struct user_key key = { .device = u->device, .pid = u->asked.cause.task.pid };
	struct user *user = bpf_map_lookup_elem(&users, &key);
	struct user first = { .device_ns = u->device_ns };

	if (user) {
		add(user->device_ns, u->device_ns);
		return;
	}
	__builtin_memcpy(first.comm, u->asked.cause.task.comm, sizeof(first.comm));
	bpf_map_update_elem(&users, &key, &first, BPF_ANY);
}

static __always_inline void request_ended(void *ctx, struct request *rq, struct underway *u)
{
	struct disk *disk = disk_of(u->device);

	if (!disk)
		return;
	add(disk->sums.ios, 1);
	add(disk->sums.bytes, u->size_bytes);
	if (u->err)
		add(disk->sums.errors, 1);
	add(disk->sums.device_ns, u->device_ns);
	add(disk->sums.wait_ns, u->asked.tag_ns + u->queue_ns);
	if (u->size_bytes && (!disk->fastest_ns || u->device_ns < disk->fastest_ns))
		disk->fastest_ns = u->device_ns;
	if (events_wanted())
		count_user(u);
	if (tables_wanted())
		count_cause(u);
}

/* --- the sweep --- */

#define TELL_NS 990000000 /* each fourth sweep, which may come a little early */

OVER(users) EVERY(250) SEC("iter/bpf_map_elem") int sweep_users(struct bpf_iter__bpf_map_elem *ctx)
{
	struct user *user = ctx->value;
	struct user_key *key = ctx->key, who;
	struct disk *disk;
	u64 now_ns, part_ns;

	if (!user || !key)
		return 0;
	who = *key;
	disk = bpf_map_lookup_elem(&disk_states, &who.device);
	now_ns = user->device_ns;
	part_ns = now_ns - user->swept_ns;
	/* the disk's own sweep takes what was gathered, each second, and begins anew */
	if (!disk || !part_ns || (s64)part_ns < 0)
		return 0;
	if (bpf_ktime_get_ns() - disk->told_at_ns < TELL_NS - TELL_NS / 10) /* this comes first */
		return 0;
	user->swept_ns = now_ns;
	disk->users_ns += part_ns;
	if (part_ns <= disk->top_ns)
		return 0;
	disk->top_ns = part_ns;
	disk->top_pid = who.pid;
	__builtin_memcpy(disk->top_comm, user->comm, sizeof(disk->top_comm));
	return 0;
}

static __always_inline void sums_now(const struct disk *disk, struct sums *sums, u64 now_ns)
{
	u64 since_ns = now_of(&disk->busy_since_ns);

	*sums = disk->sums;
	if (since_ns && since_ns < now_ns)
		sums->busy_ns += now_ns - since_ns;
}

static __always_inline void sums_minus(struct sums *now, const struct sums *then)
{
	/* the stretch that lasts may be in neither for a moment */
	now->busy_ns = now->busy_ns > then->busy_ns ? now->busy_ns - then->busy_ns : 0;
	now->ios -= then->ios;
	now->bytes -= then->bytes;
	now->errors -= then->errors;
	now->device_ns -= then->device_ns;
	now->wait_ns -= then->wait_ns;
}

static __always_inline void count_disk(struct disk *disk, u32 device, const struct sums *now)
{
	struct disk_labels key = {};
	struct disk_values *row;
	struct sums more = *now;

	if (label(disks, 0))
		key.device = device;
	row = row_of(disks, &key);
	if (!row)
		return;
	sums_minus(&more, &disk->counted);
	disk->counted = *now;
	add(row->busy_ns, more.busy_ns);
	add(row->ios, more.ios);
	add(row->bytes, more.bytes);
	add(row->errors, more.errors);
	add(row->device_ns, more.device_ns);
	add(row->wait_ns, more.wait_ns);
	set_gauge(row->depth, disk->gone - disk->come);
}

/*
 * A disk may do many requests at a time, so that one which is always busy may still keep up. It does not
 * when requests wait for it longer than it takes, or when many are with it and each takes many times as
 * long as the fastest did.
 */
static __always_inline enum busy_verdict verdict_of(const struct busy *e, u64 ios, u64 fastest_ns)
{
	if (e->errors)
		return BUSY_FAILING;
	if (!ios && e->busy_percent >= 90)
		return BUSY_STUCK;
	if (e->busy_percent >= 90 &&
	    (e->wait_ns > e->device_ns || (e->depth >= 8 && e->device_ns >= 8 * fastest_ns)))
		return BUSY_SATURATED;
	if (e->wait_ns > e->device_ns && e->wait_ns > 1000000)
		return BUSY_WAITING;
	return e->busy_percent >= 50 ? BUSY_WORKING : BUSY_LIGHT;
}

/* Rounded. By microseconds, as bytes times 10^9 would not fit. */
static __always_inline u64 per_second(u64 n, u64 span_ns)
{
	u64 span_us = span_ns / 1000;

	return (n * 1000000 + span_us / 2) / span_us;
}

static __always_inline void disk_figures(struct busy *e, const struct sums *did, u64 span_ns, u64 depth)
{
	u64 busy_ns = did->busy_ns < span_ns ? did->busy_ns : span_ns;

	e->busy_percent = (busy_ns * 100 + span_ns / 2) / span_ns;
	e->ios_per_s = per_second(did->ios, span_ns);
	e->bytes_per_s = per_second(did->bytes, span_ns);
	e->errors = did->errors;
	e->depth = did->ios && busy_ns ? (did->device_ns + busy_ns / 2) / busy_ns : depth;
	if (!did->ios)
		return;
	e->device_ns = did->device_ns / did->ios;
	e->wait_ns = did->wait_ns / did->ios;
}

static __noinline int tell_disk(void *ctx, struct disk *disk, u32 device, u64 now_ns)
{
	struct sums did;
	struct busy *e;
	u64 span_ns;

	if (!disk)
		return 0;
	span_ns = now_ns - disk->told_at_ns;
	sums_now(disk, &did, now_ns);
	sums_minus(&did, &disk->told);
	sums_now(disk, &disk->told, now_ns);
	disk->told_at_ns = now_ns;
	if (!did.busy_ns || span_ns < 1000) /* nothing to do */
		return 0;
	e = event_new(busy);
	if (!e)
		return 0;
	e->device = device;
	disk_figures(e, &did, span_ns, disk->gone - disk->come);
	e->verdict = verdict_of(e, did.ios, disk->fastest_ns);
	if (disk->users_ns) {
		e->top_pid = disk->top_pid;
		__builtin_memcpy(e->top_comm, disk->top_comm, sizeof(e->top_comm));
		e->top_percent = disk->top_ns * 100 / disk->users_ns;
	}
	disk->users_ns = disk->top_ns = 0;
	event_send(ctx, e);
	return 0;
}

static __always_inline int look_for_lost(void *ctx, struct underway *now)
{
	struct underway u;

	if (!now || !now->live)
		return 0;
	u = *now;
	if (u.issued && bpf_ktime_get_ns() - u.asked.since_ns > TELL_NS / 10)
		request_is_out(now, &u);
	return 0;
}
SWEEP_REQUESTS(sweep_lost, look_for_lost, 1000)

OVER(disk_states) EVERY(250)
SEC("iter/bpf_map_elem") int sweep_disks(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 now_ns = bpf_ktime_get_ns();
	u32 *key = ctx->key, device;
	struct disk *disk;
	struct sums now;

	if (!key || !ctx->value)
		return 0;
	device = *key;
	disk = bpf_map_lookup_elem(&disk_states, &device);
	if (!disk)
		return 0;
	if (tables_wanted()) {
		sums_now(disk, &now, now_ns);
		count_disk(disk, device, &now);
	}
	if (events_wanted() && now_ns - disk->told_at_ns >= TELL_NS)
		tell_disk(ctx, disk, device, now_ns);
	return 0;
}
