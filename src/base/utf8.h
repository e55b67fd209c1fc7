/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * UTF-8: validation, display width, and escaping of arbitrary bytes so that the original can be
 * recovered. The kernel hands over bytes: names of files and tasks need not be valid UTF-8.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct strbuf;

/* Length in bytes (1-4) of the valid UTF-8 sequence at `s` (at most `len` bytes there); 0 when
 * it is not one (overlong, surrogate, above U+10FFFF, cut short). *ret_code gets the code
 * point. */
MUST_USE unsigned utf8_next(const char *s, size_t len, uint32_t *ret_code);

/* Columns on a terminal, roughly: 1 a code point, 2 for East Asian wide and emoji, 0 for combining
 * marks; an invalid byte counts as 1. */
MUST_USE unsigned utf8_width(const char *s, size_t len);
/* Bytes of the longest prefix that takes at most `cols` columns; *ret_cols gets what it takes. */
MUST_USE size_t utf8_fit(const char *s, size_t len, unsigned cols, unsigned *ret_cols);

/* Appends as the inside of a JSON string (no quotes): valid UTF-8 as it is, '"' '\\' and
 * controls escaped, each invalid byte 0xXX as \udcXX (Python: json.loads(s).encode("utf-8",
 * "surrogateescape") gives the bytes back). */
void json_escape(struct strbuf *b, const char *s, size_t len);

/* Appends for a terminal or log: controls, C1 controls, bidirectional overrides and invalid
 * bytes as \xNN for each byte, a backslash as \\, the rest as it is. */
void text_escape(struct strbuf *b, const char *s, size_t len);
/* The same, but a backslash stays as it is: for sentences, which nobody reads back. */
void text_clean(struct strbuf *b, const char *s, size_t len);
/* Would text_escape() change nothing? (The common case.) */
MUST_USE bool text_is_plain(const char *s, size_t len);
