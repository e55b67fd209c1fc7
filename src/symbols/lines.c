/* SPDX-License-Identifier: BSD-2-Clause */
/* A cursor over one line; each step fails at the line's end. */
#include "symbols/lines.h"

#include <string.h>

struct cursor {
	const char *at, *end;
};

bool line_next(const char **at, const char *end, const char **ret_line, size_t *ret_len)
{
	const char *stop;

	if (*at >= end)
		return false;
	stop = memchr(*at, '\n', (size_t)(end - *at)) ?: end;
	*ret_line = *at;
	*ret_len = (size_t)(stop - *at);
	*at = stop + (stop < end);
	return true;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* A number of up to 16 digits. */
static bool take_number(struct cursor *c, unsigned base, uint64_t *ret)
{
	const char *begin = c->at;
	uint64_t n = 0;

	while (c->at < c->end && (unsigned)digit_of(*c->at) < base) {
		if (c->at - begin >= 16)
			return false;
		n = n * base + (unsigned)digit_of(*c->at++);
	}
	*ret = n;
	return c->at > begin;
}

static bool take(struct cursor *c, char wanted)
{
	if (c->at >= c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

static bool take_device(struct cursor *c, struct maps_line *l)
{
	uint64_t major, minor;

	if (!take_number(c, 16, &major) || !take(c, ':') || !take_number(c, 16, &minor))
		return false;
	l->major = (uint32_t)major;
	l->minor = (uint32_t)minor;
	return true;
}

bool maps_line_parse(const char *line, size_t len, struct maps_line *ret)
{
	struct cursor c = { line, line + len };
	struct maps_line l = { 0 };

	if (!take_number(&c, 16, &l.start) || !take(&c, '-') || !take_number(&c, 16, &l.end) ||
	    !take(&c, ' ') || c.end - c.at < 5 || l.end <= l.start)
		return false;
	l.executable = c.at[2] == 'x';
	c.at += 4;
	if (!take(&c, ' ') || !take_number(&c, 16, &l.offset) || !take(&c, ' ') ||
	    !take_device(&c, &l) || !take(&c, ' ') || !take_number(&c, 10, &l.inode))
		return false;
	skip_blanks(&c);
	l.path = c.at;
	l.path_len = (size_t)(c.end - c.at);
	*ret = l;
	return true;
}

bool kallsyms_line_parse(const char *line, size_t len, struct symbol_line *ret)
{
	struct cursor c = { line, line + len };
	struct symbol_line l = { 0 };
	const char *stop;

	if (!take_number(&c, 16, &l.start) || !take(&c, ' ') || c.end - c.at < 3)
		return false;
	l.type = *c.at++;
	if (!take(&c, ' '))
		return false;
	stop = memchr(c.at, '\t', (size_t)(c.end - c.at)) ?: c.end;
	l.name = c.at;
	l.name_len = (size_t)(stop - c.at);
	l.module = "";
	c.at = stop;
	if (take(&c, '\t') && take(&c, '[') && c.end > c.at && c.end[-1] == ']') {
		l.module = c.at;
		l.module_len = (size_t)(c.end - 1 - c.at);
	}
	*ret = l;
	return l.name_len > 0;
}

bool perfmap_line_parse(const char *line, size_t len, struct symbol_line *ret)
{
	struct cursor c = { line, line + len };
	struct symbol_line l = { .module = "" };

	for (uint64_t *number = &l.start;; number = &l.size) {
		if (c.end - c.at > 2 && c.at[0] == '0' && (c.at[1] == 'x' || c.at[1] == 'X'))
			c.at += 2;
		if (!take_number(&c, 16, number) || !take(&c, ' '))
			return false;
		if (number == &l.size)
			break;
	}
	l.name = c.at;
	l.name_len = (size_t)(c.end - c.at);
	*ret = l;
	return l.name_len > 0 && l.size > 0;
}
