/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Strings: tests, lists, splitting, "did you mean". Brings strbuf.h, glob.h and utf8.h along. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/attr.h"
#include "base/glob.h"
#include "base/strbuf.h"
#include "base/utf8.h"

struct err;

static inline bool str_eq(const char *a, const char *b)
{
	return !strcmp(a, b);
}
MUST_USE bool str_startswith(const char *s, const char *prefix);
MUST_USE bool str_endswith(const char *s, const char *suffix);
/* The rest of `s` after `prefix`, or NULL when it doesn't start so. */
MUST_USE const char *str_after(const char *s, const char *prefix);
/* Copies what fits, always NUL-terminated (size > 0); false when it was cut. */
bool str_copy(char *to, size_t size, const char *from);
/* snprintf that says whether all of it fitted. */
bool str_format(char *to, size_t size, const char *fmt, ...) PRINTF(3, 4);

/* Undoes octal escapes in place, as the kernel writes blanks in mounts: "a\\040b" is "a b". */
void str_unescape_octal(char *s);

/* A list of strings that owns them. Zero-initialised is ready. */
struct strlist {
	char **at;
	size_t len, cap;
};
void strlist_add(struct strlist *l, const char *s);
void strlist_add_len(struct strlist *l, const char *s, size_t len);
MUST_USE bool strlist_has(const struct strlist *l, const char *s);
void strlist_done(struct strlist *l);

/* Appends the comma-separated parts of `text`, trimmed of blanks; empty parts are left out. Commas
 * inside {} or [] and escaped ones (\,) don't split, so that globs survive. Returns how many. */
size_t str_split(const char *text, struct strlist *l);

/* Edits between two strings: insert, delete, replace, swap of neighbours. Case is ignored. Strings
 * longer than 63 bytes are compared by their first 63. */
MUST_USE unsigned str_distance(const char *a, const char *b);

/* The name nearest to `name`, or NULL when none is near (about one edit in three letters; the last
 * dotted part alone may match too: "opne" finds "fs.open"). Borrowed from `names`. */
MUST_USE const char *suggest(const char *name, const char *const *names, size_t count);
/* The same over any collection: `nth(ctx, i)` gives the i-th name, NULL at the end. */
typedef const char *suggest_fn(const void *ctx, size_t i);
MUST_USE const char *suggest_from(const char *name, suggest_fn *nth, const void *ctx);
/* Fails (EINVAL, EXIT_USAGE): "there is no column 'opns' (did you mean 'opens'?)", or where none is near,
 * "there is no column 'x': a, b, c". */
int name_unknown(const char *what, const char *name, suggest_fn *nth, const void *ctx,
		 struct err *e);
/* Fails (ENOENT): "there is no user 'ana' (did you mean 'anna'?)", of `names` the nearest if one is near. */
int name_missing(const char *what, const char *name, const struct strlist *names, struct err *e);
