/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash of bytes: 16 at a time through a 64x64 -> 128 bit multiplication whose halves are folded
 * together (the idea behind the wyhash family; constants and layout are our own).
 */
#include "base/hash.h"

#include <string.h>

#define ODD_A 0x9e3779b97f4a7c15ULL /* 2^64 divided by the golden ratio */
#define ODD_B 0xd1b54a32d192ed03ULL /* the same for the plastic number: an unrelated odd constant */

static uint64_t seed_of_maps;

void hash_set_seed(uint64_t seed)
{
	seed_of_maps = seed;
}

uint64_t hash_seed(void)
{
	return seed_of_maps;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Up to 8 bytes as a number; what is missing is zero. */
static inline uint64_t read_tail(const unsigned char *at, size_t len)
{
	uint64_t x = 0;

	memcpy(&x, at, len);
	return x;
}

static inline uint64_t read_u64(const unsigned char *at)
{
	uint64_t x;

	memcpy(&x, at, sizeof(x));
	return x;
}

uint64_t hash_bytes(const void *bytes, size_t len, uint64_t seed)
{
	const unsigned char *at = bytes;
	uint64_t hash = seed ^ ODD_A, low, high = 0;
	size_t left = len;

	for (; left > 16; left -= 16, at += 16)
		hash = fold(read_u64(at) ^ ODD_A, read_u64(at + 8) ^ hash);
	if (left >= 8) {
		low = read_u64(at);
		high = left > 8 ? read_tail(at + 8, left - 8) : 0;
	} else {
		low = left ? read_tail(at, left) : 0;
	}
	hash = fold(low ^ ODD_B, high ^ hash);
	return fold(hash ^ ODD_A, len ^ ODD_B);
}
