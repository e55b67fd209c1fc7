/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: texts that are more than text: arguments and domain names. */
#include "schema/kinds.h"

#include <ctype.h>
#include <string.h>

/* What a shell takes as it is. */
static bool needs_no_quotes(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("_@%+=:,./-", s[i]))
			return false;
	return len > 0;
}

static void shell_quote(struct strbuf *out, const char *s, size_t len)
{
	if (needs_no_quotes(s, len)) {
		strbuf_append(out, s, len);
		return;
	}
	strbuf_putc(out, '\'');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\'')
			strbuf_append(out, "'\\'", 3);
		strbuf_putc(out, s[i]);
	}
	strbuf_putc(out, '\'');
}

/* The next of the NUL-separated arguments; false at the end. Start with *at NULL. */
static bool next_argument(struct value v, const char **at, size_t *len)
{
	const char *end = v.text.s + v.text.len, *next = *at ? *at + *len + 1 : v.text.s;
	const char *nul;

	if (next > end || !v.text.len)
		return false;
	nul = next < end ? memchr(next, '\0', (size_t)(end - next)) : NULL;
	*len = (size_t)((nul ? nul : end) - next);
	*at = next;
	return true;
}

void argv_text(struct strbuf *out, const struct field *f, struct value v)
{
	const char *at = NULL;
	size_t len = 0;

	(void)f;
	while (next_argument(v, &at, &len)) {
		if (at != v.text.s)
			strbuf_putc(out, ' ');
		shell_quote(out, at, len);
	}
	if (v.cut)
		strbuf_append(out, "...", 3);
}

void argv_json(struct json *out, const struct field *f, struct value v)
{
	const char *at = NULL;
	size_t len = 0;

	(void)f;
	json_arr_begin(out);
	while (next_argument(v, &at, &len))
		json_bytes(out, at, len);
	json_arr_end(out);
}

/* With dots and without the last; the root has nothing else. */
void dns_name_text(struct strbuf *out, const struct field *f, struct value v)
{
	plain_text(out, f, v.text.len ? v : value_text(".", 1));
}

void dns_name_json(struct json *out, const struct field *f, struct value v)
{
	plain_json(out, f, v.text.len ? v : value_text(".", 1));
}
