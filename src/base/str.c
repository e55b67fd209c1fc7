/* SPDX-License-Identifier: BSD-2-Clause */
/* Strings: prefixes, bounded copies, lists and splitting. */
#include "base/str.h"

#include "base/mem.h"
#include "base/vec.h"

#include <assert.h>
#include <stdarg.h>

const char *str_after(const char *s, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(s, prefix, len) ? NULL : s + len;
}

bool str_startswith(const char *s, const char *prefix)
{
	return str_after(s, prefix) != NULL;
}

bool str_endswith(const char *s, const char *suffix)
{
	size_t len = strlen(s), end = strlen(suffix);

	return len >= end && !memcmp(s + len - end, suffix, end);
}

bool str_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from), fits;

	assert(size > 0);
	fits = min(len, size - 1);
	memcpy(to, from, fits);
	to[fits] = '\0';
	return fits == len;
}

bool str_format(char *to, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	assert(size > 0);
	va_start(ap, fmt);
	len = vsnprintf(to, size, fmt, ap);
	va_end(ap);
	return len >= 0 && (size_t)len < size;
}

void strlist_add_len(struct strlist *l, const char *s, size_t len)
{
	vec_push(l, xstrndup(s, len));
}

void strlist_add(struct strlist *l, const char *s)
{
	vec_push(l, xstrdup(s));
}

bool strlist_has(const struct strlist *l, const char *s)
{
	vec_for_each(it, l)
		if (!strcmp(*it, s))
			return true;
	return false;
}

void strlist_done(struct strlist *l)
{
	vec_for_each(it, l)
		free(*it);
	vec_done(l);
}

/* The comma that ends the part at `s`, or its NUL. */
static const char *part_end(const char *s)
{
	unsigned braces = 0, brackets = 0;

	for (; *s; s++) {
		if (*s == '\\' && s[1]) {
			s++;
			continue;
		}
		if (*s == ',' && !braces && !brackets)
			break;
		braces += *s == '{' && strchr(s, '}');
		brackets += *s == '[' && strchr(s, ']');
		braces -= *s == '}' && braces;
		brackets -= *s == ']' && brackets;
	}
	return s;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

void str_unescape_octal(char *s)
{
	char *to = s;

	for (const char *from = s; *from; to++) {
		if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) &&
		    is_octal(from[3])) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

size_t str_split(const char *text, struct strlist *l)
{
	size_t count = 0;
	const char *end;

	for (;; text = end + 1) {
		const char *last = end = part_end(text);

		while (text < last && is_blank(*text))
			text++;
		while (text < last && is_blank(last[-1]))
			last--;
		if (last > text) {
			strlist_add_len(l, text, (size_t)(last - text));
			count++;
		}
		if (!*end)
			return count;
	}
}
