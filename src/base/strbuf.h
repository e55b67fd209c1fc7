/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A growable string: zero-initialised is ready, `.s` is NUL-terminated after the first append,
 * `.len` doesn't count the NUL. Reset keeps the memory, so a steady state allocates nothing. One
 * thread.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct strbuf {
	char *s;
	size_t len, cap;
};

void strbuf_grow(struct strbuf *b, size_t more);
void strbuf_appendf(struct strbuf *b, const char *fmt, ...) PRINTF(2, 3);
void strbuf_vappendf(struct strbuf *b, const char *fmt, va_list ap) PRINTF(2, 0);
void strbuf_pad(struct strbuf *b, char c, size_t count);

/* Decimal, and lower-case hex without "0x" and with at least `min_digits` digits. */
void strbuf_u64(struct strbuf *b, uint64_t value);
void strbuf_s64(struct strbuf *b, int64_t value);
void strbuf_hex(struct strbuf *b, uint64_t value, unsigned min_digits);

/* Writes `value` in decimal to `out` (no NUL) and returns how many digits. */
unsigned u64_digits(char out[static 20], uint64_t value);

/* The string, "" while nothing was appended. Valid until the next append. */
static inline const char *strbuf_str(const struct strbuf *b)
{
	return b->s ? b->s : "";
}
/* Hands over the string (free() it); the buffer is empty and ready again. Never NULL. */
char *strbuf_take(struct strbuf *b) MUST_USE RETURNS_NONNULL;
void strbuf_done(struct strbuf *b);

/* Makes room for `more` bytes and a NUL, and yields where they go; then set the length with
 * strbuf_end(). For code that writes bytes itself. */
static inline char *strbuf_room(struct strbuf *b, size_t more)
{
	if (unlikely(b->cap - b->len <= more))
		strbuf_grow(b, more);
	return b->s + b->len;
}
static inline void strbuf_end(struct strbuf *b, const char *end)
{
	b->len = (size_t)(end - b->s);
	b->s[b->len] = '\0';
}
static inline void strbuf_append(struct strbuf *b, const char *bytes, size_t len)
{
	char *to = strbuf_room(b, len);

	if (len)
		memcpy(to, bytes, len);
	strbuf_end(b, to + len);
}
static inline void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_append(b, s, strlen(s));
}
static inline void strbuf_putc(struct strbuf *b, char c)
{
	char *to = strbuf_room(b, 1);

	*to = c;
	strbuf_end(b, to + 1);
}
/* Cuts to `len` bytes (no effect when it is shorter). */
static inline void strbuf_cut(struct strbuf *b, size_t len)
{
	if (len < b->len)
		strbuf_end(b, b->s + len);
}
static inline void strbuf_reset(struct strbuf *b)
{
	strbuf_cut(b, 0);
}
