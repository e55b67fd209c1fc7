/* SPDX-License-Identifier: BSD-2-Clause */
/* "Did you mean": the edit distance that counts a swap of neighbours as one; the nearest name. */
#include "base/str.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/strbuf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>

enum { NAME_MAX_LEN = 63 };

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned str_distance(const char *a, const char *b)
{
	unsigned row[3][NAME_MAX_LEN + 1];
	unsigned *before = row[0], *above = row[1], *now = row[2], *spare;
	size_t a_len = strnlen(a, NAME_MAX_LEN), b_len = strnlen(b, NAME_MAX_LEN);

	for (size_t j = 0; j <= b_len; j++)
		above[j] = before[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			now[j] = above[j - 1] + !same(a[i - 1], b[j - 1]);
			now[j] = min(now[j], min(above[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				now[j] = min(now[j], before[j - 2] + 1);
		}
		spare = before;
		before = above;
		above = now;
		now = spare;
	}
	return above[b_len];
}

/* The distance to a name, or to its last dotted part when the text has no dot itself. */
static unsigned name_distance(const char *name, const char *candidate)
{
	const char *dot = strrchr(candidate, '.');
	unsigned whole = str_distance(name, candidate);

	if (!dot || strchr(name, '.'))
		return whole;
	return min(whole, str_distance(name, dot + 1));
}

const char *suggest_from(const char *name, suggest_fn *nth, const void *ctx)
{
	const char *best = NULL, *candidate;
	unsigned best_distance = (unsigned)strnlen(name, NAME_MAX_LEN) / 3 + 1, d;

	assert(name && nth);
	if (!*name)
		return NULL;
	for (size_t i = 0; (candidate = nth(ctx, i)); i++) {
		d = name_distance(name, candidate);
		if (d > best_distance || (best && d == best_distance) || d >= strlen(name))
			continue;
		best = candidate;
		best_distance = d;
	}
	return best;
}

struct names {
	const char *const *name;
	size_t count;
};

static const char *names_nth(const void *ctx, size_t i)
{
	const struct names *n = ctx;

	return i < n->count ? n->name[i] : NULL;
}

const char *suggest(const char *name, const char *const *names, size_t count)
{
	struct names n = { names, count };

	return suggest_from(name, names_nth, &n);
}

int name_unknown(const char *what, const char *name, suggest_fn *nth, const void *ctx,
		 struct err *e)
{
	const char *near = suggest_from(name, nth, ctx), *each;
	auto_done(strbuf) all = { 0 };

	if (near)
		return fail_as(e, EXIT_USAGE, EINVAL, "there is no %s '%s' (did you mean '%s'?)",
			       what, name, near);
	for (size_t i = 0; (each = nth(ctx, i)); i++)
		strbuf_appendf(&all, "%s%s", i ? ", " : ": ", each);
	return fail_as(e, EXIT_USAGE, EINVAL, "there is no %s '%s'%s", what, name,
		       strbuf_str(&all));
}

int name_missing(const char *what, const char *name, const struct strlist *names, struct err *e)
{
	const char *near = suggest(name, (const char *const *)names->at, names->len);

	return fail(e, ENOENT, "there is no %s '%s'%s%s%s", what, name,
		    near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
}
