/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Growable arrays: `vec(struct field) fields = { 0 };` has .at (the elements), .len and .cap.
 * Zero-initialised is ready. Elements move when it grows, so keep indices, not pointers.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define vec(type)                \
	struct {                 \
		type *at;        \
		size_t len, cap; \
	}

/* Room for `n` more; after it, n vec_add() calls don't allocate. */
#define vec_reserve(v, n) \
	((v)->at = vec_grow((v)->at, &(v)->cap, (v)->len + (size_t)(n), sizeof(*(v)->at)))
/* Appends a zeroed element; yields its address. */
#define vec_add(v) \
	(vec_reserve(v, 1), memset(&(v)->at[(v)->len], 0, sizeof(*(v)->at)), &(v)->at[(v)->len++])
/* Appends a copy of `item`. */
#define vec_push(v, item) (vec_reserve(v, 1), (void)((v)->at[(v)->len++] = (item)))
#define vec_pop(v)        ((v)->at[--(v)->len])
#define vec_clear(v)      ((void)((v)->len = 0))
#define vec_sort(v, cmp)                                                 \
	do {                                                             \
		if ((v)->len)                                            \
			qsort((v)->at, (v)->len, sizeof(*(v)->at), cmp); \
	} while (0)
/* Gives the memory back; the array is empty and ready again. What elements own is the caller's. */
#define vec_done(v)                      \
	do {                             \
		free((v)->at);           \
		(v)->at = NULL;          \
		(v)->len = (v)->cap = 0; \
	} while (0)

/* `vec_for_each(f, &fields) use(f->name);`: `f` is declared here, a pointer to each element. */
#define vec_for_each(it, v) \
	for (__typeof__((v)->at + 0) it = (v)->at; (v)->len && it < (v)->at + (v)->len; it++)

/* Of use to the macros only: at least `want` elements of `size` bytes, growing by doubling. */
void *vec_grow(void *at, size_t *cap, size_t want, size_t size) MUST_USE RETURNS_NONNULL;
