/* SPDX-License-Identifier: BSD-2-Clause */
/* A reader for one JSON object. Deeper values are passed over by their brackets, without recursion. */
#include "base/json_read.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct reader {
	const char *text, *at;
};

static void blanks_skip(struct reader *r)
{
	r->at += strspn(r->at, " \t\r\n");
}

static int unexpected(const struct reader *r, const char *expected, struct err *e)
{
	return fail(e, EINVAL, "byte %zu: expected %s", (size_t)(r->at - r->text), expected);
}

static int take(struct reader *r, char c, struct err *e)
{
	const char expected[] = { '\'', c, '\'', '\0' };

	blanks_skip(r);
	if (*r->at != c)
		return unexpected(r, expected, e);
	r->at++;
	return 0;
}

/* ---- strings ---- */

static void utf8_put(struct strbuf *out, unsigned code)
{
	if (code < 0x80) {
		strbuf_putc(out, (char)code);
		return;
	}
	if (code < 0x800) {
		strbuf_putc(out, (char)(0xc0 | code >> 6));
	} else {
		if (code < 0x10000) {
			strbuf_putc(out, (char)(0xe0 | code >> 12));
		} else {
			strbuf_putc(out, (char)(0xf0 | code >> 18));
			strbuf_putc(out, (char)(0x80 | (code >> 12 & 63)));
		}
		strbuf_putc(out, (char)(0x80 | (code >> 6 & 63)));
	}
	strbuf_putc(out, (char)(0x80 | (code & 63)));
}

/* "u0041" behind a backslash. */
static bool hex_take(struct reader *r, unsigned *ret)
{
	char digits[5] = { 0 };
	char *end;

	if (*r->at != 'u')
		return false;
	memcpy(digits, r->at + 1, strnlen(r->at + 1, 4));
	*ret = (unsigned)strtoul(digits, &end, 16);
	if (end != digits + 4)
		return false;
	r->at += 5;
	return true;
}

static bool escape_take(struct reader *r, struct strbuf *out)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *name = *r->at ? strchr(names, *r->at) : NULL;
	unsigned code, low;

	if (name) {
		strbuf_putc(out, bytes[name - names]);
		r->at++;
		return true;
	}
	if (!hex_take(r, &code) || !code) /* no text holds a NUL */
		return false;
	if (code >> 10 == 0xd800 >> 10 && *r->at == '\\') {
		r->at++;
		if (!hex_take(r, &low) || low >> 10 != 0xdc00 >> 10)
			return false;
		code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
	}
	utf8_put(out, code);
	return true;
}

static int string_take(struct reader *r, struct strbuf *out, struct err *e)
{
	strbuf_reset(out);
	if (take(r, '"', e) < 0)
		return -e->code;
	while (*r->at != '"') {
		if ((unsigned char)*r->at < ' ')
			return unexpected(r, "the end of the string", e);
		if (*r->at != '\\') {
			strbuf_putc(out, *r->at++);
			continue;
		}
		r->at++;
		if (!escape_take(r, out))
			return unexpected(r, "an escape", e);
	}
	r->at++;
	return 0;
}

/* ---- values ---- */

static int deeper_skip(struct reader *r, struct err *e)
{
	auto_done(strbuf) ignored = { 0 };
	size_t depth = 0;

	do {
		r->at += strcspn(r->at, "\"[]{}");
		if (!*r->at)
			return unexpected(r, "a closing bracket", e);
		if (*r->at == '"') {
			if (string_take(r, &ignored, e) < 0)
				return -e->code;
			continue;
		}
		depth += *r->at == '[' || *r->at == '{' ? 1 : (size_t)-1;
		r->at++;
	} while (depth);
	return 0;
}

/* null, true, false, numbers */
static int plain_take(struct reader *r, struct strbuf *out, enum json_type *ret_type, struct err *e)
{
	size_t len = strcspn(r->at, ",}] \t\r\n");

	strbuf_reset(out);
	strbuf_append(out, r->at, len);
	*ret_type = str_eq(strbuf_str(out), "null") ? JSON_NULL
		    : str_eq(strbuf_str(out), "true") || str_eq(strbuf_str(out), "false")
			    ? JSON_BOOL
			    : JSON_NUMBER;
	if (!len || (*ret_type == JSON_NUMBER && !strchr("-0123456789", *r->at)))
		return unexpected(r, "a value", e);
	r->at += len;
	return 0;
}

static int value_take(struct reader *r, struct strbuf *out, enum json_type *ret_type, struct err *e)
{
	blanks_skip(r);
	*ret_type = *r->at == '"' ? JSON_STRING : JSON_DEEPER;
	if (*r->at == '"')
		return string_take(r, out, e);
	if (*r->at == '{' || *r->at == '[')
		return deeper_skip(r, e);
	return plain_take(r, out, ret_type, e);
}

static int member_take(struct reader *r, json_member_fn *fn, void *ctx, struct err *e)
{
	auto_done(strbuf) key = { 0 }, value = { 0 };
	enum json_type type;

	if (string_take(r, &key, e) < 0 || take(r, ':', e) < 0 ||
	    value_take(r, &value, &type, e) < 0)
		return -e->code;
	return fn(strbuf_str(&key), type, type == JSON_DEEPER ? "" : strbuf_str(&value), ctx, e);
}

int json_read_object(const char *text, json_member_fn *fn, void *ctx, struct err *e)
{
	struct reader r = { text, text };
	int err = take(&r, '{', e);

	blanks_skip(&r);
	for (bool more = *r.at != '}'; !err && more;) {
		err = member_take(&r, fn, ctx, e);
		blanks_skip(&r);
		more = *r.at == ',';
		r.at += more;
	}
	if (err || take(&r, '}', e) < 0)
		return err ?: -e->code;
	blanks_skip(&r);
	return *r.at ? unexpected(&r, "the end", e) : 0;
}
