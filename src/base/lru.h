/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A cache of at most N entries, u64 or bytes to pointer: the one longest unused makes room. All
 * memory but that of bytes keys is taken at the start. One thread at a time.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/map.h"
#include "base/mem.h"

struct lru;

/* Never NULL. `max_entries` > 0. `free_value` (may be NULL) gets each value that is replaced,
 * evicted or removed. */
MUST_USE struct lru *lru_new(size_t max_entries, void (*free_value)(void *value));
void lru_free(struct lru *l);
AUTO_PTR(lru)

/* The value, which becomes the most recent, or NULL. Valid until the next put or del. */
MUST_USE void *lru_get(struct lru *l, uint64_t key);
MUST_USE void *lru_get_bytes(struct lru *l, const void *bytes, size_t len);
void lru_put(struct lru *l, uint64_t key, void *value);
void lru_put_bytes(struct lru *l, const void *bytes, size_t len, void *value);
void lru_del(struct lru *l, uint64_t key);
void lru_del_bytes(struct lru *l, const void *bytes, size_t len);
void lru_clear(struct lru *l);

MUST_USE size_t lru_len(const struct lru *l);
/* Entries that had to go because the cache was full: says when it is too small. */
MUST_USE uint64_t lru_evictions(const struct lru *l);
