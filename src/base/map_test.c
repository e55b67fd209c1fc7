/* SPDX-License-Identifier: BSD-2-Clause */
/* Hashes, maps and the bounded cache, against a plain array as the truth. */
#include "base/hash.h"
#include "base/lru.h"
#include "base/map.h"
#include "base/test.h"

enum { KEYS = 512 };

static unsigned freed;

static void *value(uintptr_t x)
{
	return (void *)x;
}

static void count_free(void *v)
{
	freed += v != NULL;
}

/* A repeatable walk through numbers. */
static uint64_t next_number(uint64_t *state)
{
	return hash_u64(++*state);
}

TEST(u64_map_does_what_an_array_does)
{
	uintptr_t truth[KEYS] = { 0 };
	struct map m = { 0 };
	uint64_t state = 0;
	size_t len = 0, seen = 0;

	CHECK(!map_get(&m, 0));
	CHECK(!map_del(&m, 0));
	for (int step = 0; step < 50000; step++) {
		uint64_t r = next_number(&state);
		unsigned k = r % KEYS;
		uintptr_t x = r >> 40 | 1;

		if (r >> 20 & 1) {
			CHECK(map_put(&m, k * 4096ULL, value(x)) == value(truth[k]));
			len += !truth[k];
			truth[k] = x;
		} else {
			CHECK(map_del(&m, k * 4096ULL) == value(truth[k]));
			len -= truth[k] != 0;
			truth[k] = 0;
		}
	}
	CHECK_INT(m.len, len);
	for (unsigned k = 0; k < KEYS; k++)
		CHECK(map_get(&m, k * 4096ULL) == value(truth[k]));
	map_for_each(s, &m) {
		CHECK(s->value == value(truth[s->key / 4096]));
		seen++;
	}
	CHECK_INT(seen, len);
	map_done(&m, NULL);
}

TEST(bytes_map_copies_its_keys)
{
	struct map m = { 0 };
	char key[32];

	for (uintptr_t i = 1; i <= 300; i++) {
		snprintf(key, sizeof(key), "key-%u", (unsigned)i);
		CHECK(!map_put_str(&m, key, value(i)));
	}
	for (uintptr_t i = 1; i <= 300; i++) {
		snprintf(key, sizeof(key), "key-%u", (unsigned)i);
		CHECK(map_get_str(&m, key) == value(i));
		if (i % 2)
			CHECK(map_del_str(&m, key) == value(i));
	}
	CHECK_INT(m.len, 150);
	CHECK(!map_get_str(&m, "key-1"));
	CHECK(map_get_str(&m, "key-2") == value(2));
	map_put_bytes(&m, "", 0, value(9));
	map_put_bytes(&m, "\0", 1, value(10));
	CHECK(map_get_bytes(&m, NULL, 0) == value(9));
	CHECK(map_has_bytes(&m, "\0", 1));
	freed = 0;
	map_done(&m, count_free);
	CHECK_INT(freed, 152);
}

TEST(hash_depends_on_every_byte_and_the_seed)
{
	unsigned char bytes[40] = { 0 };

	for (size_t len = 1; len <= sizeof(bytes); len++) {
		uint64_t plain = hash_bytes(bytes, len, 0);

		CHECK(plain != hash_bytes(bytes, len - 1, 0));
		CHECK(plain != hash_bytes(bytes, len, 1));
		for (size_t i = 0; i < len; i++) {
			bytes[i] = 1;
			CHECK(plain != hash_bytes(bytes, len, 0));
			bytes[i] = 0;
		}
	}
}

TEST(hash_spreads_low_bits)
{
	unsigned used[256] = { 0 }, empty = 0;

	for (uint64_t i = 0; i < 4096; i++) {
		char text[16];

		used[hash_u64(i << 32) % 256] |= 1;
		snprintf(text, sizeof(text), "%" PRIu64, i);
		used[hash_bytes(text, strlen(text), 0) % 256] |= 2;
	}
	for (size_t i = 0; i < 256; i++)
		empty += used[i] != 3;
	CHECK_INT(empty, 0);
}

TEST(lru_drops_the_longest_unused)
{
	struct lru *l = lru_new(3, count_free);

	freed = 0;
	for (uintptr_t k = 1; k <= 3; k++)
		lru_put(l, k, value(k));
	CHECK(lru_get(l, 1) == value(1));
	lru_put(l, 4, value(4));
	CHECK(!lru_get(l, 2));
	CHECK(lru_get(l, 1) && lru_get(l, 3) && lru_get(l, 4));
	CHECK_INT(freed, 1);
	lru_put(l, 1, value(11));
	CHECK_INT(freed, 2);
	CHECK(lru_get(l, 1) == value(11));
	lru_put(l, 1, value(11));
	CHECK_INT(freed, 2);
	lru_put(l, 5, value(5));
	CHECK(!lru_get(l, 3));
	CHECK_INT(freed, 3);
	lru_free(l);
	CHECK_INT(freed, 6);
}

TEST(lru_keeps_the_newest)
{
	auto_ptr(lru) l = lru_new(10, NULL);

	for (uintptr_t i = 1; i <= 1000; i++) {
		lru_put(l, i, value(i));
		CHECK(lru_get(l, i) == value(i));
	}
	for (uintptr_t i = 1; i <= 1000; i++)
		CHECK(lru_get(l, i) == (i > 990 ? value(i) : NULL));
}
