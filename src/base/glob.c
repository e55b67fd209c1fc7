/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Path globs by backtracking, with a budget of steps so that a hostile pattern can't take for ever.
 * Braces are expanded while matching: what follows an alternative goes on behind the closing brace.
 */
#include "base/glob.h"

#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { DEPTH_MAX = 256 }; /* nested stars and braces */

/* Where matching goes on when a piece of the pattern ends at `end` (one alternative of a brace). */
struct rest {
	const char *end, *then;
	const struct rest *outer;
};

struct match {
	const char *text; /* the whole */
	unsigned steps_left, depth;
};

static bool match_here(struct match *m, const char *p, const char *t, const struct rest *rest);

/* The ']' of the set that `p` opens, or NULL. */
static const char *set_end(const char *p)
{
	p++;
	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']')
		p++;
	for (; *p && *p != ']'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p : NULL;
}

static unsigned char set_char(const char **p)
{
	if (**p == '\\')
		(*p)++;
	return (unsigned char)*(*p)++;
}

/* Does the set from '[' at `p` to its ']' at `end` hold `c`? */
static bool set_has(const char *p, const char *end, unsigned char c)
{
	bool negated = p[1] == '!' || p[1] == '^', found = false;
	unsigned char first, last;

	for (p += 1 + negated; p < end;) {
		first = last = set_char(&p);
		if (*p == '-' && p + 1 < end) {
			p++;
			last = set_char(&p);
		}
		found |= c >= first && c <= last;
	}
	return found != negated;
}

/* Next of the characters that part alternatives: ',' (only on the top level) or the '}' that closes
 * the brace in whose inside `p` is; NULL when it is never closed. */
static const char *brace_next(const char *p)
{
	unsigned inner = 0;
	const char *end;

	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '[' && (end = set_end(p)))
			p = end;
		else if (*p == '{')
			inner++;
		else if (*p == '}' && !inner)
			return p;
		else if (*p == ',' && !inner)
			return p;
		else if (*p == '}')
			inner--;
	}
	return NULL;
}

/* The '}' of the brace that `p` opens, or NULL. */
static const char *brace_end(const char *p)
{
	do {
		p = brace_next(p + 1);
	} while (p && *p == ',');
	return p;
}

static bool match_brace(struct match *m, const char *p, const char *close, const char *t,
			const struct rest *rest)
{
	struct rest here = { .then = close + 1, .outer = rest };

	for (p++; p <= close; p = here.end + 1) {
		here.end = brace_next(p);
		if (!here.end)
			return false;
		if (match_here(m, p, t, &here))
			return true;
	}
	return false;
}

/* Two stars and a slash may also stand for nothing, if a component starts here. */
static bool match_stars(struct match *m, const char *p, const char *t, const struct rest *rest,
			bool at_start)
{
	bool across = p[1] == '*';
	const char *after = p + 1 + across;

	while (across && *after == '*')
		after++;
	if (across && at_start && *after == '/' && match_here(m, after + 1, t, rest))
		return true;
	for (;; t++) {
		if (match_here(m, after, t, rest))
			return true;
		if (!*t || (*t == '/' && !across) || !m->steps_left)
			return false;
	}
}

/* One character of the pattern, or the set that ends at `end`, against one of the text; moves both
 * on. */
static bool match_char(const char **p, const char *end, const char **t)
{
	char c = *(*t)++;

	if (!c)
		return false;
	if (end || **p == '?') {
		bool ok = c != '/' && (!end || set_has(*p, end, (unsigned char)c));

		*p = end ? end + 1 : *p + 1;
		return ok;
	}
	if (**p == '\\' && (*p)[1])
		(*p)++;
	return *(*p)++ == c;
}

/* Takes from the budget what looking at the piece costs; false when it is spent. */
static bool charge(struct match *m, const char *p, const char *close)
{
	size_t cost = 1;

	if (*p == '{' || *p == '[')
		cost += close ? (size_t)(close - p) : strlen(p);
	if (cost > m->steps_left)
		m->steps_left = 0;
	else
		m->steps_left -= (unsigned)cost;
	return m->steps_left > 0;
}

/* Where the brace or the set that starts here ends; NULL for anything else. */
static const char *piece_end(const char *p)
{
	if (*p == '{')
		return brace_end(p);
	return *p == '[' ? set_end(p) : NULL;
}

static bool match_pieces(struct match *m, const char *p, const char *t, const struct rest *rest)
{
	const char *close;

	for (;;) {
		while (rest && p == rest->end) {
			p = rest->then;
			rest = rest->outer;
		}
		close = piece_end(p);
		if (!charge(m, p, close))
			return false;
		if (*p == '*')
			return match_stars(m, p, t, rest, t == m->text || t[-1] == '/');
		if (close && *p == '{')
			return match_brace(m, p, close, t, rest);
		if (!*p)
			return !*t;
		if (!match_char(&p, close, &t))
			return false;
	}
}

static bool match_here(struct match *m, const char *p, const char *t, const struct rest *rest)
{
	bool matched;

	if (m->depth >= DEPTH_MAX)
		return false;
	m->depth++;
	matched = match_pieces(m, p, t, rest);
	m->depth--;
	return matched;
}

bool glob_matches(const char *pattern, const char *text)
{
	struct match m = { .text = text, .steps_left = GLOB_STEPS_MAX };

	return strnlen(pattern, GLOB_LEN_MAX + 1) <= GLOB_LEN_MAX &&
	       match_here(&m, pattern, text, NULL);
}

int glob_check(const char *pattern, struct err *e)
{
	const char *end;

	if (strnlen(pattern, GLOB_LEN_MAX + 1) > GLOB_LEN_MAX)
		return fail(e, EINVAL, "the pattern is longer than %d bytes", GLOB_LEN_MAX);
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && !*++p)
			return fail(e, EINVAL, "pattern '%s': nothing follows the last \\",
				    pattern);
		if (*p == '{' && !brace_end(p))
			return fail(e, EINVAL, "pattern '%s': '{' without '}'", pattern);
		if (*p != '[')
			continue;
		end = set_end(p);
		if (!end)
			return fail(e, EINVAL, "pattern '%s': '[' without ']'", pattern);
		p = end;
	}
	return 0;
}
