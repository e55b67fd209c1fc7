/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors: setting, prefixing and printing them. Everything is cut to size, never overrun. */
#include "base/err.h"

#include "base/strbuf.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Marks a text that vsnprintf() had to cut, at the start of a UTF-8 character. */
static void mark_cut(char *text, size_t size, int wanted_len)
{
	size_t at = size - 4;

	if (wanted_len < 0 || (size_t)wanted_len < size)
		return;
	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	memcpy(text + at, "...", 4);
}

/* Through a buffer of its own, because the arguments may point into `to`. */
PRINTF(3, 0)
static void set_text(char *to, size_t size, const char *fmt, va_list ap)
{
	char text[sizeof(((struct err *)0)->text)];

	assert(size <= sizeof(text));
	mark_cut(text, size, vsnprintf(text, size, fmt, ap));
	memcpy(to, text, strlen(text) + 1);
}

PRINTF(4, 0)
static int set_error(struct err *e, enum exit_code exit_class, int code, const char *fmt,
		     va_list ap)
{
	set_text(e->text, sizeof(e->text), fmt, ap);
	e->code = code > 0 ? code : EINVAL;
	e->exit_class = exit_class;
	e->hint[0] = '\0';
	return -e->code;
}

int fail(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	int ret;

	assert(e && fmt);
	va_start(ap, fmt);
	ret = set_error(e, EXIT_OK, code, fmt, ap);
	va_end(ap);
	return ret;
}

int fail_as(struct err *e, enum exit_code exit_class, int code, const char *fmt, ...)
{
	va_list ap;
	int ret;

	assert(e && fmt);
	va_start(ap, fmt);
	ret = set_error(e, exit_class, code, fmt, ap);
	va_end(ap);
	return ret;
}

int wrap(struct err *e, const char *fmt, ...)
{
	char context[sizeof(e->text)], text[sizeof(e->text)];
	va_list ap;

	assert(e && fmt);
	va_start(ap, fmt);
	set_text(context, sizeof(context), fmt, ap);
	va_end(ap);
	mark_cut(text, sizeof(text), snprintf(text, sizeof(text), "%s: %s", context, e->text));
	memcpy(e->text, text, strlen(text) + 1);
	return -e->code;
}

int hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	assert(e && fmt);
	va_start(ap, fmt);
	set_text(e->hint, sizeof(e->hint), fmt, ap);
	va_end(ap);
	return -e->code;
}

enum exit_code err_exit_code(const struct err *e)
{
	assert(e);
	if (!e->code || e->exit_class)
		return e->exit_class;
	return e->code == EPERM || e->code == EACCES ? EXIT_DENIED : EXIT_FAILED;
}

void err_print(const struct err *e, FILE *out)
{
	struct strbuf line = { 0 };

	assert(e && out);
	strbuf_puts(&line, "sonda: ");
	text_clean(&line, e->text, strlen(e->text));
	if (e->hint[0]) {
		strbuf_puts(&line, "\nsonda: hint: ");
		text_clean(&line, e->hint, strlen(e->hint));
	}
	strbuf_putc(&line, '\n');
	fwrite(line.s, 1, line.len, out);
	fflush(out);
	strbuf_done(&line);
}

void err_clear(struct err *e)
{
	assert(e);
	*e = (struct err){ 0 };
}
