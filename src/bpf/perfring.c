/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of a perf event array, on libbpf's perf_buffer. */
#include "bpf/perfring.h"

#include "abi/record.h"
#include "base/err.h"
#include "base/vec.h"

#include <bpf/libbpf.h>

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TAKE_MAX (4 * 1024 * 1024) /* bytes taken in one go; the rest waits in the buffers */

struct taken {
	uint64_t at_ns;
	size_t offset; /* in bytes[] */
	uint32_t size;
};

struct perfring {
	struct perf_buffer *buffers;
	vec(unsigned char) bytes;
	vec(struct taken) records;
	size_t next;
};

static void take(void *ctx, int cpu, void *bytes, uint32_t size)
{
	struct perfring *r = ctx;
	struct taken *t;
	struct record header = { 0 };
	size_t room = (size + 7u) & ~7u;

	(void)cpu;
	memcpy(&header, bytes, min((size_t)size, sizeof(header)));
	t = vec_add(&r->records);
	t->at_ns = header.at_ns;
	t->offset = r->bytes.len;
	t->size = size;
	vec_reserve(&r->bytes, room);
	memcpy(r->bytes.at + r->bytes.len, bytes, size);
	r->bytes.len += room;
}

static void lost(void *ctx, int cpu, unsigned long long count)
{
	/* bpf_perf_event_output() has failed for each of them, and the probe has counted it */
	(void)ctx, (void)cpu, (void)count;
}

/* The kernel wants a power of two. */
static size_t pages_per_cpu(uint32_t size_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE),
	       cpus = (size_t)max(libbpf_num_possible_cpus(), 1);
	size_t pages = 1;

	while (pages * page * cpus < size_bytes)
		pages *= 2;
	return pages;
}

int perfring_open(int fd, uint32_t size_bytes, struct perfring **ret, struct err *e)
{
	auto_ptr(perfring) r = xnew(struct perfring);

	r->buffers = perf_buffer__new(fd, pages_per_cpu(size_bytes), take, lost, r, NULL);
	if (!r->buffers)
		return fail(e, errno, "open the perf event array: %s", strerror(errno));
	*ret = TAKE_PTR(r);
	return 0;
}

void perfring_free(struct perfring *r)
{
	if (!r)
		return;
	perf_buffer__free(r->buffers);
	vec_done(&r->bytes);
	vec_done(&r->records);
	free(r);
}

unsigned perfring_fd_count(const struct perfring *r)
{
	return (unsigned)perf_buffer__buffer_cnt(r->buffers);
}

int perfring_fd(const struct perfring *r, unsigned nth)
{
	return perf_buffer__buffer_fd(r->buffers, nth);
}

static int by_time(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

void perfring_refresh(struct perfring *r)
{
	if (r->next < r->records.len)
		return; /* first what is left of the last time */
	vec_clear(&r->bytes);
	vec_clear(&r->records);
	r->next = 0;
	for (unsigned i = 0; i < perfring_fd_count(r) && r->bytes.len < TAKE_MAX; i++)
		if (perf_buffer__consume_buffer(r->buffers, i) < 0)
			break;
	vec_sort(&r->records, by_time);
}

const void *perfring_peek(struct perfring *r, uint32_t *ret_size)
{
	if (r->next >= r->records.len)
		return NULL;
	*ret_size = r->records.at[r->next].size;
	return r->bytes.at + r->records.at[r->next].offset;
}

void perfring_next(struct perfring *r)
{
	assert(r->next < r->records.len);
	r->next++;
}
