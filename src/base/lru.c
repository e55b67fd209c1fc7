/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounded cache: entries in one array, a map to find them, a ring of indices by age. */
#include "base/lru.h"

#include <assert.h>
#include <stdbool.h>

/* Entry 0 is no entry: its `newer` is the oldest and its `older` the newest of the ring. */
struct entry {
	void *value;
	uint64_t key; /* the number, or how many bytes */
	void *bytes;  /* owned, kept for the next key; NULL until one of bytes was here */
	size_t bytes_cap;
	bool keyed_by_bytes;
	uint32_t older, newer;
};

struct lru {
	struct map found; /* to entries; borrows their keys */
	struct entry *entry;
	size_t max, used; /* entry[1] to entry[used] have been in use */
	uint32_t spare;   /* first of those that are free again, chained by `older`; 0: none */
	uint64_t evictions;
	void (*free_value)(void *value);
};

struct lru *lru_new(size_t max_entries, void (*free_value)(void *value))
{
	struct lru *l = xnew(struct lru);

	assert(max_entries > 0 && max_entries < UINT32_MAX);
	l->max = max_entries;
	l->free_value = free_value;
	l->entry = xcalloc(max_entries + 1, sizeof(*l->entry));
	l->found.borrows_keys = true;
	map_reserve(&l->found, max_entries);
	return l;
}

static void ring_remove(struct lru *l, struct entry *it)
{
	l->entry[it->older].newer = it->newer;
	l->entry[it->newer].older = it->older;
}

static void ring_add_newest(struct lru *l, struct entry *it)
{
	uint32_t at = (uint32_t)(it - l->entry);

	it->newer = 0;
	it->older = l->entry[0].older;
	l->entry[it->older].newer = at;
	l->entry[0].older = at;
}

static void value_free(struct lru *l, void *value)
{
	if (l->free_value && value)
		l->free_value(value);
}

static void entry_drop(struct lru *l, struct entry *it)
{
	if (it->keyed_by_bytes)
		map_del_bytes(&l->found, it->bytes, (size_t)it->key);
	else
		map_del(&l->found, it->key);
	ring_remove(l, it);
	value_free(l, TAKE_PTR(it->value));
	it->older = l->spare;
	l->spare = (uint32_t)(it - l->entry);
}

/* An entry that isn't in the ring; the oldest has to go when there is none. */
static struct entry *entry_take(struct lru *l)
{
	struct entry *it;

	if (!l->spare && l->used < l->max)
		return &l->entry[++l->used];
	if (!l->spare) {
		entry_drop(l, &l->entry[l->entry[0].newer]);
		l->evictions++;
	}
	it = &l->entry[l->spare];
	l->spare = it->older;
	return it;
}

static void *entry_use(struct lru *l, struct entry *it)
{
	if (!it)
		return NULL;
	ring_remove(l, it);
	ring_add_newest(l, it);
	return it->value;
}

static void entry_replace(struct lru *l, struct entry *it, void *value)
{
	void *old = it->value;

	it->value = value;
	entry_use(l, it);
	if (old != value)
		value_free(l, old);
}

void *lru_get(struct lru *l, uint64_t key)
{
	return entry_use(l, map_get(&l->found, key));
}

void *lru_get_bytes(struct lru *l, const void *bytes, size_t len)
{
	return entry_use(l, map_get_bytes(&l->found, bytes, len));
}

void lru_put(struct lru *l, uint64_t key, void *value)
{
	struct entry *it = map_get(&l->found, key);

	if (it) {
		entry_replace(l, it, value);
		return;
	}
	it = entry_take(l);
	it->key = key;
	it->keyed_by_bytes = false;
	it->value = value;
	map_put(&l->found, key, it);
	ring_add_newest(l, it);
}

static void entry_set_bytes(struct entry *it, const void *bytes, size_t len)
{
	if (it->bytes_cap < len || !it->bytes) {
		it->bytes_cap = max(len, (size_t)16);
		free(it->bytes);
		it->bytes = xmalloc(it->bytes_cap);
	}
	if (len)
		memcpy(it->bytes, bytes, len);
	it->key = len;
	it->keyed_by_bytes = true;
}

void lru_put_bytes(struct lru *l, const void *bytes, size_t len, void *value)
{
	struct entry *it = map_get_bytes(&l->found, bytes, len);

	if (it) {
		entry_replace(l, it, value);
		return;
	}
	it = entry_take(l);
	entry_set_bytes(it, bytes, len);
	it->value = value;
	map_put_bytes(&l->found, it->bytes, len, it);
	ring_add_newest(l, it);
}

void lru_del(struct lru *l, uint64_t key)
{
	struct entry *it = map_get(&l->found, key);

	if (it)
		entry_drop(l, it);
}

void lru_del_bytes(struct lru *l, const void *bytes, size_t len)
{
	struct entry *it = map_get_bytes(&l->found, bytes, len);

	if (it)
		entry_drop(l, it);
}

void lru_clear(struct lru *l)
{
	while (l->entry[0].newer)
		entry_drop(l, &l->entry[l->entry[0].newer]);
}

void lru_free(struct lru *l)
{
	if (!l)
		return;
	lru_clear(l);
	for (size_t i = 1; i <= l->used; i++)
		free(l->entry[i].bytes);
	map_done(&l->found, NULL);
	free(l->entry);
	free(l);
}

size_t lru_len(const struct lru *l)
{
	return l->found.len;
}

uint64_t lru_evictions(const struct lru *l)
{
	return l->evictions;
}
