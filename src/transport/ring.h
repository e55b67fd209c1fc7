/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Reads one BPF ring buffer through its mapped pages: records are looked at where they lie, and the
 * space is given back in steps. One thread at a time. Depends on the map's descriptor only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct ring;

/* `fd` is a BPF_MAP_TYPE_RINGBUF of `size_bytes` (max_entries); borrowed, must outlive the ring.
 * Errors: what mmap says. */
MUST_USE int ring_open(int fd, uint32_t size_bytes, struct ring **ret, struct err *e);
void ring_free(struct ring *r);
AUTO_PTR(ring)

/* Looks how far the kernel has written; ring_peek() goes no further until the next call. */
void ring_refresh(struct ring *r);

/* The next record that is ready, or NULL; discarded ones are skipped. It stays where it is until
 * ring_next() and ring_release(). */
MUST_USE const void *ring_peek(struct ring *r, uint32_t *ret_size);
/* Goes on to the one behind it. */
void ring_next(struct ring *r);
/* Gives the space of all records passed back to the kernel. */
void ring_release(struct ring *r);
/* Bytes passed and not given back yet. */
MUST_USE uint32_t ring_held_bytes(const struct ring *r);
