/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* 64-bit hashing, not cryptographic. With a random seed it resists chosen keys. Any thread. */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Well-mixed 64 bits of a number (a bijection: different numbers, different hashes). */
static inline uint64_t hash_u64(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
	return x ^ (x >> 32);
}

MUST_USE uint64_t hash_bytes(const void *bytes, size_t len, uint64_t seed);

/* The seed that map.h uses. 0 until set; main() sets a random one before the first map is filled
 * (tests leave it, so that the order of iteration repeats). */
void hash_set_seed(uint64_t seed);
MUST_USE uint64_t hash_seed(void);
