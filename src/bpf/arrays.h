/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Maps as memory: arrays with BPF_F_MMAPABLE, and arrays in an array of maps, which are filled before
 * they take their place. A million elements cost no system call each. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

struct array_view {
	void *at; /* all its elements, each on a multiple of 8 bytes */
	size_t bytes;
};
/* Errors: ENOENT (no such map, or it wasn't made), those of mmap(2). */
MUST_USE int array_view(const struct object *o, const char *map, struct array_view *ret_view,
			struct err *e);
void array_view_done(struct array_view *view);

/* Puts a new array into slot `at` of an array of maps: as many elements of `size` bytes (a multiple of 8)
 * as `bytes` bytes need; what was there is freed when no program reads it any more. `bytes` 0: the slot
 * is emptied. Errors: ENOENT, ENOMEM, those of bpf(2). */
MUST_USE int array_put(const struct object *o, const char *map, uint32_t at, const void *from,
		       size_t bytes, size_t size, struct err *e);

/* An element of a map of one value. Errors: ENOENT, those of bpf(2). */
MUST_USE int array_read(const struct object *o, const char *map, uint32_t at, void *value,
			struct err *e);
/* Of a per-CPU array of u64: summed over all CPUs. */
MUST_USE int array_sum(const struct object *o, const char *map, uint32_t at, uint64_t *ret_sum,
		       struct err *e);
