/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * An arena: many small allocations that end together. Zero-initialised is ready; blocks are kept by
 * arena_reset(), so that a steady state allocates nothing. One thread at a time.
 */
#include <stddef.h>

#include "base/attr.h"

struct arena_block;
struct arena {
	struct arena_block *first;
	struct arena_block *now;
};

/* `size` zeroed bytes, aligned for any type; never NULL. Valid until reset or done. */
void *arena_alloc(struct arena *a, size_t size) MUST_USE RETURNS_NONNULL;
char *arena_strdup(struct arena *a, const char *s) MUST_USE RETURNS_NONNULL;
/* `len` bytes and a NUL after them. */
char *arena_memdup(struct arena *a, const void *bytes, size_t len) MUST_USE RETURNS_NONNULL;
char *arena_printf(struct arena *a, const char *fmt, ...) MUST_USE RETURNS_NONNULL PRINTF(2, 3);

#define arena_new(a, type) ((type *)arena_alloc(a, sizeof(type)))

/* Forgets every allocation, keeps the memory. */
void arena_reset(struct arena *a);
/* Gives the memory back; the arena is ready again. */
void arena_done(struct arena *a);
