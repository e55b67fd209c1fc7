/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Hash map from a u64 or from bytes to a pointer (open addressing). Zero-initialised is ready. One
 * map has keys of one sort. Keys of bytes are copied; values are the caller's. Grows on insertion,
 * never on lookup or removal. One thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct map_slot {
	uint64_t hash;     /* 0: free */
	uint64_t key;      /* the number, or how many bytes */
	const void *bytes; /* NULL for numbers */
	void *value;
};

struct map {
	struct map_slot *slot;
	size_t len, cap;   /* cap is a power of two, or 0 */
	bool borrows_keys; /* set before the first put: bytes stay the caller's and must outlive */
};

/* Value, or NULL when there is none (store no NULL, or use map_has_...). */
MUST_USE void *map_get(const struct map *m, uint64_t key);
MUST_USE void *map_get_bytes(const struct map *m, const void *bytes, size_t len);
MUST_USE bool map_has(const struct map *m, uint64_t key);
MUST_USE bool map_has_bytes(const struct map *m, const void *bytes, size_t len);

/* Sets the value; returns the one that it replaces, or NULL. */
void *map_put(struct map *m, uint64_t key, void *value);
void *map_put_bytes(struct map *m, const void *bytes, size_t len, void *value);

/* Removes; returns the value that was there, or NULL. */
void *map_del(struct map *m, uint64_t key);
void *map_del_bytes(struct map *m, const void *bytes, size_t len);

static inline void *map_get_str(const struct map *m, const char *key)
{
	return map_get_bytes(m, key, strlen(key));
}
static inline void *map_put_str(struct map *m, const char *key, void *value)
{
	return map_put_bytes(m, key, strlen(key), value);
}
static inline void *map_del_str(struct map *m, const char *key)
{
	return map_del_bytes(m, key, strlen(key));
}

/* Room for `count` entries, so that insertions up to it don't allocate the table again. */
void map_reserve(struct map *m, size_t count);

/* Iteration in no particular order; the map may not change meanwhile (values may):
 * `map_for_each(s, &m) use(s->key, s->value);` */
MUST_USE struct map_slot *map_next(const struct map *m, const struct map_slot *after);
#define map_for_each(s, m) for (struct map_slot *s = map_next(m, NULL); s; s = map_next(m, s))

/* Removes all, keeps the table. With `free_value` each value is given to it. */
void map_clear(struct map *m, void (*free_value)(void *value));
/* Removes all and gives the memory back. */
void map_done(struct map *m, void (*free_value)(void *value));
