/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of perf's dummy event, read from its buffers. */
#include "bpf/mapfeed.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/perf_event.h>

#include "base/err.h"
#include "base/vec.h"

enum {
	PAGES_MIN = 16, /* of a buffer: a power of two */
	PAGES_MAX = 128,
	BUFFERS_BYTES = 8 * 1024 * 1024, /* all together, if they aren't too many for that */
	TAKE_MAX = 8 * 1024 * 1024,
};

struct buffer {
	int fd;
	struct perf_event_mmap_page *head; /* then the bytes */
};

struct taken {
	uint64_t at_ns;
	size_t offset; /* in bytes[] */
	size_t order;
};

typedef vec(unsigned char) bytes_of_records;

struct mapfeed {
	vec(struct buffer) buffers;
	bytes_of_records bytes;
	vec(struct taken) records;
	size_t pages; /* of a buffer */
	uint64_t lost;
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t pages_for(int cpus)
{
	size_t pages = PAGES_MIN;

	while (pages < PAGES_MAX && 2 * pages * page_bytes() * (size_t)cpus <= BUFFERS_BYTES)
		pages *= 2;
	return pages;
}

static int cpu_watch(int cpu, size_t pages)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.ksymbol = 1,
		.use_clockid = 1,
		.clockid = CLOCK_BOOTTIME,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(pages / 4 * page_bytes()),
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int buffer_open(struct mapfeed *f, int cpu, struct err *e)
{
	struct buffer b = { .fd = cpu_watch(cpu, f->pages) };

	if (b.fd < 0 && errno == ENODEV)
		return 0; /* not online */
	if (b.fd < 0)
		return fail(e, errno, "watching mappings: %s", strerror(errno));
	b.head = mmap(NULL, (1 + f->pages) * page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, b.fd,
		      0);
	if (b.head == MAP_FAILED) {
		fail(e, errno, "watching mappings: mmap: %s", strerror(errno));
		fd_close(&b.fd);
		return -e->code;
	}
	vec_push(&f->buffers, b);
	return 0;
}

int mapfeed_open(struct mapfeed **ret, struct err *e)
{
	auto_ptr(mapfeed) f = xnew(struct mapfeed);
	int cpus = libbpf_num_possible_cpus();

	f->pages = pages_for(max(cpus, 1));
	for (int cpu = 0; cpu < cpus; cpu++)
		if (buffer_open(f, cpu, e) < 0)
			return -e->code;
	*ret = TAKE_PTR(f);
	return 0;
}

void mapfeed_free(struct mapfeed *f)
{
	if (!f)
		return;
	vec_for_each(b, &f->buffers) {
		munmap(b->head, (1 + f->pages) * page_bytes());
		fd_close(&b->fd);
	}
	vec_done(&f->buffers);
	vec_done(&f->bytes);
	vec_done(&f->records);
	free(f);
}

unsigned mapfeed_fd_count(const struct mapfeed *f)
{
	return (unsigned)f->buffers.len;
}

int mapfeed_fd(const struct mapfeed *f, unsigned nth)
{
	return f->buffers.at[nth].fd;
}

uint64_t mapfeed_lost(const struct mapfeed *f)
{
	return f->lost;
}

/* Copies from the circle. */
static void circle_read(const struct mapfeed *f, const struct buffer *b, uint64_t at, void *to,
			size_t len)
{
	const unsigned char *bytes = (const unsigned char *)b->head + page_bytes();
	size_t size = f->pages * page_bytes(), from = at % size, first = min(len, size - from);

	memcpy(to, bytes + from, first);
	memcpy((unsigned char *)to + first, bytes, len - first);
}

static size_t room_for(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

static size_t record_room(const struct mapfeed *f, const struct taken *t)
{
	struct perf_event_header h;

	memcpy(&h, f->bytes.at + t->offset, sizeof(h));
	return room_for(h.size);
}

/* The last word of each record is its time. */
static void record_take(struct mapfeed *f, const struct buffer *b, uint64_t at, size_t len)
{
	size_t room = room_for(len);
	struct taken *t = vec_add(&f->records);

	vec_reserve(&f->bytes, room);
	circle_read(f, b, at, f->bytes.at + f->bytes.len, len);
	t->offset = f->bytes.len;
	t->order = f->records.len;
	memcpy(&t->at_ns, f->bytes.at + t->offset + len - sizeof(t->at_ns), sizeof(t->at_ns));
	f->bytes.len += room;
}

static void buffer_take(struct mapfeed *f, struct buffer *b)
{
	uint64_t head = __atomic_load_n(&b->head->data_head, __ATOMIC_ACQUIRE),
		 tail = b->head->data_tail;
	struct perf_event_header h;

	while (tail < head && f->bytes.len < TAKE_MAX) {
		circle_read(f, b, tail, &h, sizeof(h));
		if (h.size < sizeof(h) + sizeof(uint64_t) || h.size > head - tail) {
			tail = head; /* can't be; begin anew */
			break;
		}
		record_take(f, b, tail, h.size);
		tail += h.size;
	}
	__atomic_store_n(&b->head->data_tail, tail, __ATOMIC_RELEASE);
}

static int by_time(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* As <linux/perf_event.h> lays them out, behind the header. */
struct fork_record {
	uint32_t pid, ppid, tid, ptid;
};
struct comm_record {
	uint32_t pid, tid;
};
struct map_record {
	uint32_t pid, tid;
	uint64_t start, bytes, offset;
	uint32_t major, minor;
	uint64_t inode, generation;
	uint32_t prot, flags;
};
struct ksymbol_record {
	uint64_t start;
	uint32_t bytes;
	uint16_t type, flags;
};
struct lost_record {
	uint64_t id, count;
};

static void name_of(struct mapfeed_event *event, const unsigned char *at, size_t len)
{
	event->name = (const char *)at;
	event->name_len = strnlen((const char *)at, len);
}

static bool fork_event(const unsigned char *body, size_t len, struct mapfeed_event *event)
{
	struct fork_record r;

	if (len < sizeof(r))
		return false;
	memcpy(&r, body, sizeof(r));
	event->what = MAPFEED_FORK;
	event->pid = r.pid;
	event->ppid = r.ppid;
	return r.pid != r.ppid;
}

static bool exec_event(const unsigned char *body, size_t len, struct mapfeed_event *event)
{
	struct comm_record r;

	if (len < sizeof(r))
		return false;
	memcpy(&r, body, sizeof(r));
	event->what = MAPFEED_EXEC;
	event->pid = r.pid;
	return true;
}

static bool map_event(const unsigned char *body, size_t len, struct mapfeed_event *event)
{
	struct map_record r;

	if (len < sizeof(r))
		return false;
	memcpy(&r, body, sizeof(r));
	*event = (struct mapfeed_event){ .what = MAPFEED_MAP,
					 .at_ns = event->at_ns,
					 .pid = r.pid,
					 .start = r.start,
					 .bytes = r.bytes,
					 .offset = r.offset,
					 .inode = r.inode,
					 .major = r.major,
					 .minor = r.minor };
	name_of(event, body + sizeof(r), len - sizeof(r));
	return r.prot & PROT_EXEC;
}

static bool program_event(const unsigned char *body, size_t len, struct mapfeed_event *event)
{
	struct ksymbol_record r;

	if (len < sizeof(r))
		return false;
	memcpy(&r, body, sizeof(r));
	event->what = MAPFEED_PROGRAM;
	event->start = r.start;
	event->bytes = r.bytes;
	name_of(event, body + sizeof(r), len - sizeof(r));
	return !(r.flags & PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER);
}

static bool record_read(struct mapfeed *f, const struct taken *t, struct mapfeed_event *event)
{
	const unsigned char *body = f->bytes.at + t->offset;
	struct perf_event_header h;
	struct lost_record lost;
	size_t len;

	memcpy(&h, body, sizeof(h));
	body += sizeof(h);
	len = h.size - sizeof(h) - sizeof(t->at_ns);
	*event = (struct mapfeed_event){ .at_ns = t->at_ns };
	switch (h.type) {
	case PERF_RECORD_FORK:
		return fork_event(body, len, event);
	case PERF_RECORD_COMM:
		return h.misc & PERF_RECORD_MISC_COMM_EXEC && exec_event(body, len, event);
	case PERF_RECORD_MMAP2:
		return map_event(body, len, event);
	case PERF_RECORD_KSYMBOL:
		return program_event(body, len, event);
	case PERF_RECORD_LOST:
		memcpy(&lost, body, min(len, sizeof(lost)));
		f->lost += len >= sizeof(lost) ? lost.count : 0;
		return false;
	default:
		return false;
	}
}

/* Keeps the records from `done` on, in their order, and their bytes. */
static void records_keep(struct mapfeed *f, size_t done)
{
	size_t kept = f->records.len - done;
	bytes_of_records bytes = { 0 };

	memmove(f->records.at, f->records.at + done, kept * sizeof(*f->records.at));
	f->records.len = kept;
	vec_for_each(t, &f->records) {
		size_t room = record_room(f, t);

		vec_reserve(&bytes, room);
		memcpy(bytes.at + bytes.len, f->bytes.at + t->offset, room);
		t->offset = bytes.len;
		t->order = (size_t)(t - f->records.at);
		bytes.len += room;
	}
	vec_done(&f->bytes);
	f->bytes = bytes;
}

void mapfeed_drain(struct mapfeed *f, uint64_t until_ns, mapfeed_fn *fn, void *ctx)
{
	struct mapfeed_event event;
	size_t done = 0;

	vec_for_each(b, &f->buffers)
		buffer_take(f, b);
	vec_sort(&f->records, by_time);
	for (; done < f->records.len && f->records.at[done].at_ns <= until_ns; done++)
		if (record_read(f, &f->records.at[done], &event))
			fn(&event, ctx);
	records_keep(f, done);
}
