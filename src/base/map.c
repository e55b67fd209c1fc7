/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hash map: linear probing, at most three quarters full, removal by shifting back (no
 * tombstones, so lookups don't slow down with age).
 */
#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>

/* What is looked for; numbers have no bytes. */
struct key {
	uint64_t hash, key;
	const void *bytes;
};

static struct key key_u64(uint64_t key)
{
	uint64_t hash = hash_u64(key ^ hash_seed());

	return (struct key){ .hash = hash ? hash : 1, .key = key };
}

static struct key key_bytes(const void *bytes, size_t len)
{
	uint64_t hash = hash_bytes(bytes, len, hash_seed());

	return (struct key){ .hash = hash ? hash : 1, .key = len, .bytes = bytes ? bytes : "" };
}

static bool slot_is(const struct map_slot *s, const struct key *k)
{
	if (s->hash != k->hash || s->key != k->key)
		return false;
	assert(!s->bytes == !k->bytes); /* one sort of key a map */
	return !k->bytes || !memcmp(s->bytes, k->bytes, (size_t)k->key);
}

/* The slot of the key, or the free one where it would go; NULL in a map without slots. */
static struct map_slot *slot_find(const struct map *m, const struct key *k)
{
	size_t mask = m->cap - 1;

	if (!m->cap)
		return NULL;
	for (size_t i = (size_t)k->hash & mask;; i = (i + 1) & mask)
		if (!m->slot[i].hash || slot_is(&m->slot[i], k))
			return &m->slot[i];
}

static void *value_get(const struct map *m, struct key k)
{
	struct map_slot *s = slot_find(m, &k);

	return s && s->hash ? s->value : NULL;
}

static bool value_has(const struct map *m, struct key k)
{
	struct map_slot *s = slot_find(m, &k);

	return s && s->hash;
}

static void map_resize(struct map *m, size_t cap)
{
	struct map old = *m;

	m->slot = xcalloc(cap, sizeof(*m->slot));
	m->cap = cap;
	map_for_each(s, &old) {
		struct key k = { s->hash, s->key, s->bytes };

		*slot_find(m, &k) = *s;
	}
	free(old.slot);
}

void map_reserve(struct map *m, size_t count)
{
	size_t cap = m->cap ? m->cap : 16;

	assert(m && count < SIZE_MAX / sizeof(*m->slot) / 4);
	while (count > cap / 4 * 3)
		cap *= 2;
	if (cap != m->cap)
		map_resize(m, cap);
}

static void *value_put(struct map *m, struct key k, void *value)
{
	struct map_slot *s;
	void *old;

	map_reserve(m, m->len + 1);
	s = slot_find(m, &k);
	if (!s->hash) {
		s->hash = k.hash;
		s->key = k.key;
		s->bytes = k.bytes;
		if (k.bytes && !m->borrows_keys)
			s->bytes = xmemdup(k.bytes, (size_t)k.key);
		m->len++;
	}
	old = s->value;
	s->value = value;
	return old;
}

static void key_free(struct map *m, struct map_slot *s)
{
	union {
		const void *borrowed;
		void *owned;
	} bytes = { .borrowed = s->bytes };

	if (!m->borrows_keys)
		free(bytes.owned);
}

/* Closes the gap at `hole`: moves back each follower that may not stand behind a free slot. */
static void slot_close(struct map *m, size_t hole)
{
	size_t mask = m->cap - 1;

	for (size_t i = (hole + 1) & mask; m->slot[i].hash; i = (i + 1) & mask) {
		size_t home = (size_t)m->slot[i].hash & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		m->slot[hole] = m->slot[i];
		hole = i;
	}
	m->slot[hole] = (struct map_slot){ 0 };
}

static void *value_del(struct map *m, struct key k)
{
	struct map_slot *s = slot_find(m, &k);
	void *old;

	if (!s || !s->hash)
		return NULL;
	old = s->value;
	key_free(m, s);
	m->len--;
	slot_close(m, (size_t)(s - m->slot));
	return old;
}

void *map_get(const struct map *m, uint64_t key)
{
	return value_get(m, key_u64(key));
}

void *map_get_bytes(const struct map *m, const void *bytes, size_t len)
{
	return value_get(m, key_bytes(bytes, len));
}

bool map_has(const struct map *m, uint64_t key)
{
	return value_has(m, key_u64(key));
}

bool map_has_bytes(const struct map *m, const void *bytes, size_t len)
{
	return value_has(m, key_bytes(bytes, len));
}

void *map_put(struct map *m, uint64_t key, void *value)
{
	return value_put(m, key_u64(key), value);
}

void *map_put_bytes(struct map *m, const void *bytes, size_t len, void *value)
{
	return value_put(m, key_bytes(bytes, len), value);
}

void *map_del(struct map *m, uint64_t key)
{
	return value_del(m, key_u64(key));
}

void *map_del_bytes(struct map *m, const void *bytes, size_t len)
{
	return value_del(m, key_bytes(bytes, len));
}

struct map_slot *map_next(const struct map *m, const struct map_slot *after)
{
	size_t i = after ? (size_t)(after - m->slot) + 1 : 0;

	for (; i < m->cap; i++)
		if (m->slot[i].hash)
			return &m->slot[i];
	return NULL;
}

void map_clear(struct map *m, void (*free_value)(void *value))
{
	map_for_each(s, m) {
		key_free(m, s);
		if (free_value)
			free_value(s->value);
		*s = (struct map_slot){ 0 };
	}
	m->len = 0;
}

void map_done(struct map *m, void (*free_value)(void *value))
{
	map_clear(m, free_value);
	free(m->slot);
	*m = (struct map){ .borrows_keys = m->borrows_keys };
}
