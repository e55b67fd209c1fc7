/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Reads a metric table without emptying it: in batches where the kernel can, per-CPU copies summed
 * u64 by u64. Buffers are made once; a read allocates nothing. One thread per reader.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct maptable;
struct object;

/* A hash or array of a loaded object. `o` is borrowed and must outlive it.
 * Errors: ENOENT (no such map), ENOTSUP (another type of map). */
MUST_USE int maptable_new(const struct object *o, const char *map, struct maptable **ret_table,
			  struct err *e);
void maptable_free(struct maptable *t);
AUTO_PTR(maptable)

MUST_USE uint32_t maptable_key_size(const struct maptable *t);
/* Of what is handed out (per-CPU copies already summed). */
MUST_USE uint32_t maptable_value_size(const struct maptable *t);

/* One element of a map that is not per CPU; false: there is none, or its sizes are others. */
MUST_USE bool maptable_get(const struct object *o, const char *map, const void *key,
			   size_t key_size, void *ret_value, size_t value_size);

/* `key` and `value` are 8-byte aligned and live until `fn` returns; non-zero ends the reading and is
 * returned. The row whose key is all 0xff holds what a full table could not tell apart. */
typedef int maptable_fn(const void *key, const void *value, void *ctx);
MUST_USE int maptable_read(struct maptable *t, maptable_fn *fn, void *ctx, struct err *e);
