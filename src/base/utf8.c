/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8: decoding, display width, and the two escapes. */
#include "base/utf8.h"

#include "base/strbuf.h"

struct range {
	uint32_t first, last;
};

/* Rough on purpose: whole blocks, sorted. */
static const struct range no_width[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 },   { 0x0591, 0x05bd }, { 0x0610, 0x061a },
	{ 0x064b, 0x065f }, { 0x0e34, 0x0e3a },   { 0x0e47, 0x0e4e }, { 0x1ab0, 0x1aff },
	{ 0x1dc0, 0x1dff }, { 0x200b, 0x200d },   { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f },
	{ 0xfe20, 0xfe2f }, { 0xe0100, 0xe01ef },
};
static const struct range two_wide[] = {
	{ 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x2e80, 0x303e },   { 0x3041, 0x33ff },
	{ 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xa000, 0xa4cf },   { 0xa960, 0xa97f },
	{ 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },   { 0xff01, 0xff60 },
	{ 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff },
	{ 0x20000, 0x3fffd },
};
/* Not printed as they are: C1 controls, line separators, and what turns the direction of text. */
static const struct range steering[] = {
	{ 0x0080, 0x009f }, { 0x061c, 0x061c }, { 0x200e, 0x200f },
	{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfeff, 0xfeff },
};

static bool in_ranges(uint32_t code, const struct range *r, size_t count)
{
	for (size_t i = 0; i < count && r[i].first <= code; i++)
		if (code <= r[i].last)
			return true;
	return false;
}

/* How many bytes the first one announces, and the least code that may come so (not overlong). */
static unsigned lead(unsigned char c, uint32_t *ret_code, uint32_t *ret_least)
{
	static const struct {
		unsigned char mask, is;
		uint32_t least;
	} form[] = { { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (unsigned i = 0; i < ARRAY_LEN(form); i++) {
		if ((c & form[i].mask) != form[i].is)
			continue;
		*ret_code = c & (unsigned char)~form[i].mask;
		*ret_least = form[i].least;
		return i + 2;
	}
	return 0;
}

unsigned utf8_next(const char *s, size_t len, uint32_t *ret_code)
{
	const unsigned char *at = (const unsigned char *)s;
	uint32_t code = 0, least = 0;
	unsigned count;

	if (!len)
		return 0;
	if (at[0] < 0x80) {
		*ret_code = at[0];
		return 1;
	}
	count = lead(at[0], &code, &least);
	if (!count || count > len)
		return 0;
	for (unsigned i = 1; i < count; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return count;
}

static unsigned code_width(uint32_t code)
{
	if (code < 0x300)
		return 1;
	if (in_ranges(code, no_width, ARRAY_LEN(no_width)))
		return 0;
	return in_ranges(code, two_wide, ARRAY_LEN(two_wide)) ? 2 : 1;
}

size_t utf8_fit(const char *s, size_t len, unsigned cols, unsigned *ret_cols)
{
	unsigned used = 0, wide, n;
	uint32_t code;
	size_t at;

	for (at = 0; at < len; at += n) {
		n = utf8_next(s + at, len - at, &code);
		wide = n ? code_width(code) : 1;
		if (wide > cols - used)
			break;
		used += wide;
		n = n ? n : 1;
	}
	*ret_cols = used;
	return at;
}

unsigned utf8_width(const char *s, size_t len)
{
	unsigned cols;

	(void)!utf8_fit(s, len, ~0u, &cols);
	return cols;
}

/* Bytes that a JSON string takes as they are, without a closer look. */
static inline bool json_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#define EVERY(c) (0x0101010101010101ULL * (c))

/* Bit 7 of each byte that is below `c` (at most 128), for bytes below 128. */
static inline uint64_t bytes_below(uint64_t word, unsigned char c)
{
	return (word - EVERY(c)) & ~word;
}

/* How many bytes from `s` on are plain for certain: whole words of eight. */
static size_t json_plain_words(const char *s, size_t len)
{
	uint64_t word, odd;
	size_t at = 0;

	for (; len - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, s + at, sizeof(word));
		odd = word | bytes_below(word, 0x20) | bytes_below(word ^ EVERY('"'), 1) |
		      bytes_below(word ^ EVERY('\\'), 1);
		if (odd & EVERY(0x80))
			break;
	}
	return at;
}

static void json_escape_byte(struct strbuf *b, unsigned char c)
{
	static const char letter[128] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',  ['\f'] = 'f',
		['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\',
	};

	if (c < 128 && letter[c]) {
		strbuf_putc(b, '\\');
		strbuf_putc(b, letter[c]);
		return;
	}
	strbuf_append(b, c < 128 ? "\\u00" : "\\udc", 4);
	strbuf_hex(b, c, 2);
}

void json_escape(struct strbuf *b, const char *s, size_t len)
{
	size_t run = 0, at = json_plain_words(s, len);
	uint32_t code;
	unsigned n;

	while (at < len) {
		if (likely(json_plain((unsigned char)s[at]))) {
			at++;
			continue;
		}
		n = (unsigned char)s[at] >= 0x80 ? utf8_next(s + at, len - at, &code) : 0;
		if (n) {
			at += n;
			continue;
		}
		strbuf_append(b, s + run, at - run);
		json_escape_byte(b, (unsigned char)s[at++]);
		run = at;
	}
	strbuf_append(b, s + run, len - run);
}

/* Bytes at `s` that are fine on a terminal as they are: 0, or those of one character. */
static unsigned text_plain(const char *s, size_t len)
{
	unsigned char c = (unsigned char)*s;
	uint32_t code;
	unsigned n;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	n = utf8_next(s, len, &code);
	return n && !in_ranges(code, steering, ARRAY_LEN(steering)) ? n : 0;
}

/* The bytes of one character, or one byte of what is none. */
static unsigned text_escape_one(struct strbuf *b, const char *s, size_t len)
{
	uint32_t code;
	unsigned n = utf8_next(s, len, &code);

	n = n ? n : 1;
	for (unsigned i = 0; i < n; i++) {
		strbuf_append(b, "\\x", 2);
		strbuf_hex(b, (unsigned char)s[i], 2);
	}
	return n;
}

static void escape(struct strbuf *b, const char *s, size_t len, bool double_backslash)
{
	size_t run = 0, at = 0;
	unsigned n;

	while (at < len) {
		n = text_plain(s + at, len - at);
		if (n && (s[at] != '\\' || !double_backslash)) {
			at += n;
			continue;
		}
		strbuf_append(b, s + run, at - run);
		if (n)
			strbuf_append(b, "\\\\", 2);
		at += n ? n : text_escape_one(b, s + at, len - at);
		run = at;
	}
	strbuf_append(b, s + run, len - run);
}

void text_escape(struct strbuf *b, const char *s, size_t len)
{
	escape(b, s, len, true);
}

void text_clean(struct strbuf *b, const char *s, size_t len)
{
	escape(b, s, len, false);
}

bool text_is_plain(const char *s, size_t len)
{
	for (unsigned n; len; s += n, len -= n) {
		n = text_plain(s, len);
		if (!n || *s == '\\')
			return false;
	}
	return true;
}
