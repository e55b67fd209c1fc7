/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Streaming JSON writer into a strbuf; commas are put where they belong. It trusts its caller
 * about nesting. A value is one call; an object's value is json_key() and then one call:
 *	struct json j = { .out = &buf };
 *	json_obj_begin(&j); json_key(&j, "pid"); json_u64(&j, 7); json_obj_end(&j);
 * Integers are written in full: readers with 53-bit numbers must mind values above that. One
 * thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"

struct json {
	struct strbuf *out;
	bool comma; /* a value came before on this level */
};

void json_double(struct json *j,
		 double value); /* shortest that reads back the same; NaN, inf: null */
void json_bytes(struct json *j, const char *s, size_t len); /* string of any bytes, see utf8.h */

/* Appends `"key":` (escaped, NUL-terminated buffer semantics as strbuf) for json_key_raw(). */
void json_key_prepare(struct strbuf *b, const char *key);

static inline void json_sep(struct json *j)
{
	if (j->comma)
		strbuf_putc(j->out, ',');
	j->comma = true;
}
static inline void json_raw(struct json *j, const char *text,
			    size_t len) /* a finished JSON value */
{
	json_sep(j);
	strbuf_append(j->out, text, len);
}
static inline void json_begin(struct json *j, char c)
{
	json_sep(j);
	strbuf_putc(j->out, c);
	j->comma = false;
}
static inline void json_end(struct json *j, char c)
{
	strbuf_putc(j->out, c);
	j->comma = true;
}
static inline void json_obj_begin(struct json *j)
{
	json_begin(j, '{');
}
static inline void json_obj_end(struct json *j)
{
	json_end(j, '}');
}
static inline void json_arr_begin(struct json *j)
{
	json_begin(j, '[');
}
static inline void json_arr_end(struct json *j)
{
	json_end(j, ']');
}
/* Ends a line of JSON lines: newline, and the next value starts afresh. */
static inline void json_line_end(struct json *j)
{
	strbuf_putc(j->out, '\n');
	j->comma = false;
}
/* A key made ready by json_key_prepare(): the quick way. */
static inline void json_key_raw(struct json *j, const char *quoted, size_t len)
{
	json_sep(j);
	strbuf_append(j->out, quoted, len);
	j->comma = false;
}
static inline void json_key(struct json *j, const char *key)
{
	json_sep(j);
	json_key_prepare(j->out, key);
	j->comma = false;
}
static inline void json_str(struct json *j, const char *s)
{
	json_bytes(j, s, strlen(s));
}
static inline void json_u64(struct json *j, uint64_t value)
{
	json_sep(j);
	strbuf_u64(j->out, value);
}
static inline void json_s64(struct json *j, int64_t value)
{
	json_sep(j);
	strbuf_s64(j->out, value);
}
static inline void json_bool(struct json *j, bool value)
{
	json_raw(j, value ? "true" : "false", value ? 4 : 5);
}
static inline void json_null(struct json *j)
{
	json_raw(j, "null", 4);
}
