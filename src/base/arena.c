/* SPDX-License-Identifier: BSD-2-Clause */
/* Arenas: a chain of blocks, each twice as large as the one before, filled front to back. */
#include "base/arena.h"

#include "base/mem.h"

#include <assert.h>
#include <stdint.h>

enum { BLOCK_MIN = 4096, BLOCK_GROW_MAX = 1024 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t size, used; /* of `bytes` */
	_Alignas(max_align_t) char bytes[];
};

static struct arena_block *block_new(size_t size)
{
	struct arena_block *b;

	if (size > SIZE_MAX - sizeof(*b))
		size = SIZE_MAX - sizeof(*b); /* xmalloc() ends the program */
	b = xmalloc(sizeof(*b) + size);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

/* The block after `now` if it has room for `size` (blocks are kept by a reset), or a new one in
 * between. */
static struct arena_block *block_next(struct arena *a, size_t size)
{
	struct arena_block **link = a->now ? &a->now->next : &a->first;
	struct arena_block *b = *link;
	size_t usual = a->now ? min(a->now->size * 2, (size_t)BLOCK_GROW_MAX) : BLOCK_MIN;

	if (!b || b->size < size) {
		b = block_new(max(size, usual));
		b->next = *link;
		*link = b;
	}
	b->used = 0;
	a->now = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t align = _Alignof(max_align_t), rounded;
	struct arena_block *b;
	void *at;

	assert(a && size <= SIZE_MAX - align);
	rounded = (max(size, (size_t)1) + align - 1) & ~(align - 1);
	b = a->now;
	if (!b || b->size - b->used < rounded)
		b = block_next(a, rounded);
	at = b->bytes + b->used;
	b->used += rounded;
	return memset(at, 0, size);
}

char *arena_memdup(struct arena *a, const void *bytes, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_memdup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	assert(len >= 0);
	text = arena_alloc(a, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return text;
}

void arena_reset(struct arena *a)
{
	assert(a);
	a->now = a->first;
	if (a->now)
		a->now->used = 0;
}

void arena_done(struct arena *a)
{
	struct arena_block *next;

	assert(a);
	for (struct arena_block *b = a->first; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){ 0 };
}
