/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A cache of at most N entries, u64 to pointer: the one longest unused makes room. All memory is
 * taken at the start. One thread at a time.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/map.h"
#include "base/mem.h"

struct lru;

/* Never NULL. `max_entries` > 0. `free_value` (may be NULL) gets each value that is replaced,
 * evicted or left at the end. */
MUST_USE struct lru *lru_new(size_t max_entries, void (*free_value)(void *value));
void lru_free(struct lru *l);
AUTO_PTR(lru)

/* The value, which becomes the most recent, or NULL. Valid until the next put. */
MUST_USE void *lru_get(struct lru *l, uint64_t key);
void lru_put(struct lru *l, uint64_t key, void *value);
