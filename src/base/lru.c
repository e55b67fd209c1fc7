/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounded cache: entries in one array, a map to find them, a ring of indices by age. */
#include "base/lru.h"

#include <assert.h>

/* Entry 0 is no entry: its `newer` is the oldest and its `older` the newest of the ring. */
struct entry {
	void *value;
	uint64_t key;
	uint32_t older, newer;
};

struct lru {
	struct map found; /* to entries */
	struct entry *entry;
	size_t max, used; /* entry[1] to entry[used] are in use */
	void (*free_value)(void *value);
};

struct lru *lru_new(size_t max_entries, void (*free_value)(void *value))
{
	struct lru *l = xnew(struct lru);

	assert(max_entries > 0 && max_entries < UINT32_MAX);
	l->max = max_entries;
	l->free_value = free_value;
	l->entry = xcalloc(max_entries + 1, sizeof(*l->entry));
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

/* An entry that isn't in the ring; when all are in use it is the oldest. */
static struct entry *entry_take(struct lru *l)
{
	struct entry *oldest = &l->entry[l->entry[0].newer];

	if (l->used < l->max)
		return &l->entry[++l->used];
	map_del(&l->found, oldest->key);
	ring_remove(l, oldest);
	value_free(l, TAKE_PTR(oldest->value));
	return oldest;
}

static void entry_use(struct lru *l, struct entry *it)
{
	ring_remove(l, it);
	ring_add_newest(l, it);
}

void *lru_get(struct lru *l, uint64_t key)
{
	struct entry *it = map_get(&l->found, key);

	if (!it)
		return NULL;
	entry_use(l, it);
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

void lru_put(struct lru *l, uint64_t key, void *value)
{
	struct entry *it = map_get(&l->found, key);

	if (it) {
		entry_replace(l, it, value);
		return;
	}
	it = entry_take(l);
	it->key = key;
	it->value = value;
	map_put(&l->found, key, it);
	ring_add_newest(l, it);
}

void lru_free(struct lru *l)
{
	if (!l)
		return;
	for (size_t i = 1; i <= l->used; i++)
		value_free(l, l->entry[i].value);
	map_done(&l->found, NULL);
	free(l->entry);
	free(l);
}
