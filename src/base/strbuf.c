/* SPDX-License-Identifier: BSD-2-Clause */
/* Growable strings: growth, formatting, and quick decimal. */
#include "base/strbuf.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

/* "00" "01" ... "99" */
static const char two_digits[201] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";

void strbuf_grow(struct strbuf *b, size_t more)
{
	size_t cap;

	assert(more < SIZE_MAX / 2 && b->len < SIZE_MAX / 2);
	cap = max(b->cap * 2, (size_t)64);
	cap = max(cap, b->len + more + 1);
	b->s = xrealloc(b->s, cap);
	b->cap = cap;
	b->s[b->len] = '\0';
}

void strbuf_vappendf(struct strbuf *b, const char *fmt, va_list ap)
{
	va_list again;
	char *to = strbuf_room(b, 80);
	int len;

	va_copy(again, ap);
	len = vsnprintf(to, b->cap - b->len, fmt, ap);
	assert(len >= 0);
	if ((size_t)len >= b->cap - b->len) {
		to = strbuf_room(b, (size_t)len);
		vsnprintf(to, (size_t)len + 1, fmt, again);
	}
	va_end(again);
	strbuf_end(b, to + len);
}

void strbuf_appendf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vappendf(b, fmt, ap);
	va_end(ap);
}

void strbuf_pad(struct strbuf *b, char c, size_t count)
{
	char *to = strbuf_room(b, count);

	memset(to, c, count);
	strbuf_end(b, to + count);
}

unsigned u64_digits(char out[static 20], uint64_t value)
{
	char text[20];
	unsigned at = sizeof(text);

	while (value >= 100) {
		at -= 2;
		memcpy(text + at, two_digits + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		at -= 2;
		memcpy(text + at, two_digits + value * 2, 2);
	} else {
		text[--at] = (char)('0' + value);
	}
	memcpy(out, text + at, sizeof(text) - at);
	return (unsigned)sizeof(text) - at;
}

void strbuf_u64(struct strbuf *b, uint64_t value)
{
	char *to = strbuf_room(b, 20);

	strbuf_end(b, to + u64_digits(to, value));
}

void strbuf_s64(struct strbuf *b, int64_t value)
{
	char *to = strbuf_room(b, 21);

	if (value < 0)
		*to++ = '-';
	strbuf_end(b, to + u64_digits(to, value < 0 ? -(uint64_t)value : (uint64_t)value));
}

void strbuf_hex(struct strbuf *b, uint64_t value, unsigned min_digits)
{
	unsigned digits = value ? (67 - (unsigned)__builtin_clzll(value)) / 4 : 1;
	char *to;

	if (min_digits > digits)
		strbuf_pad(b, '0', min_digits - digits);
	to = strbuf_room(b, 16);
	for (unsigned i = digits; i-- > 0; value >>= 4)
		to[i] = "0123456789abcdef"[value & 15];
	strbuf_end(b, to + digits);
}

char *strbuf_take(struct strbuf *b)
{
	char *s;

	strbuf_room(b, 0);
	s = b->s;
	*b = (struct strbuf){ 0 };
	return s;
}

void strbuf_done(struct strbuf *b)
{
	free(b->s);
	*b = (struct strbuf){ 0 };
}
