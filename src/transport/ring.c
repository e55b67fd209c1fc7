/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of a BPF ring buffer; see Documentation/bpf/ringbuf.rst of the kernel for the layout. */
#include "transport/ring.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

struct ring {
	_Atomic uint64_t *consumer; /* page of ours: how far we have read */
	_Atomic uint64_t *producer; /* page of the kernel's: how far it has written */
	const unsigned char *data;  /* mapped twice in a row, so no record wraps */
	size_t page;
	uint32_t size, mask;
	uint64_t at;    /* our position, ahead of *consumer */
	uint64_t until; /* *producer as of ring_refresh() */
};

int ring_open(int fd, uint32_t size_bytes, struct ring **ret, struct err *e)
{
	auto_ptr(ring) r = xnew(struct ring);
	void *pages;

	assert(size_bytes && !(size_bytes & (size_bytes - 1)));
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	r->size = size_bytes;
	r->mask = size_bytes - 1;
	pages = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pages == MAP_FAILED)
		return fail(e, errno, "map the ring buffer: %s", strerror(errno));
	r->consumer = pages;
	pages = mmap(NULL, r->page + 2 * (size_t)size_bytes, PROT_READ, MAP_SHARED, fd,
		     (off_t)r->page);
	if (pages == MAP_FAILED)
		return fail(e, errno, "map the ring buffer's data: %s", strerror(errno));
	r->producer = pages;
	r->data = (const unsigned char *)pages + r->page;
	r->at = atomic_load_explicit(r->consumer, memory_order_acquire);
	r->until = r->at;
	*ret = TAKE_PTR(r);
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->consumer)
		munmap(r->consumer, r->page);
	if (r->producer)
		munmap(r->producer, r->page + 2 * (size_t)r->size);
	free(r);
}

void ring_refresh(struct ring *r)
{
	r->until = atomic_load_explicit(r->producer, memory_order_acquire);
}

static const _Atomic uint32_t *ring_header(const struct ring *r)
{
	return (const _Atomic uint32_t *)(const void *)(r->data + (r->at & r->mask));
}

static uint64_t ring_step(uint32_t header)
{
	uint32_t len = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	return ((uint64_t)len + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL;
}

const void *ring_peek(struct ring *r, uint32_t *ret_size)
{
	uint32_t header;

	while (r->at < r->until) {
		header = atomic_load_explicit(ring_header(r), memory_order_acquire);
		if (header & BPF_RINGBUF_BUSY_BIT)
			return NULL; /* being written */
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			*ret_size = header;
			return r->data + (r->at & r->mask) + BPF_RINGBUF_HDR_SZ;
		}
		r->at += ring_step(header);
	}
	return NULL;
}

void ring_next(struct ring *r)
{
	r->at += ring_step(atomic_load_explicit(ring_header(r), memory_order_relaxed));
}

void ring_release(struct ring *r)
{
	atomic_store_explicit(r->consumer, r->at, memory_order_release);
}

uint32_t ring_held_bytes(const struct ring *r)
{
	return (uint32_t)(r->at - atomic_load_explicit(r->consumer, memory_order_relaxed));
}
