/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of an enum's values: the common prefix, sorting, looking up both ways. */
#include "schema/names.h"

#include <ctype.h>
#include <strings.h>

#include "base/str.h"

enum {
	NAME_LEN_MAX = 255,
	NAMES_MAX = 4096, /* the kernel's longest enums have some hundreds */
};

bool name_is_identifier(const char *name)
{
	size_t len = 0;

	if (isdigit((unsigned char)*name))
		return false;
	for (; *name; name++, len++)
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	return len > 0 && len <= NAME_LEN_MAX;
}

static bool counts_for_prefix(const char *name)
{
	return name_is_identifier(name) && !str_startswith(name, "__");
}

static size_t common_len(const char *a, const char *b, size_t limit)
{
	size_t i = 0;

	while (i < limit && a[i] && a[i] == b[i])
		i++;
	return i;
}

/* Can `len` bytes be cut from every name that begins with them? */
static bool prefix_leaves_names(const char *prefix, size_t len, const struct names_row *rows,
				size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *rest;

		if (strncmp(rows[i].name, prefix, len) != 0)
			continue;
		rest = rows[i].name + len;
		if (!*rest || isdigit((unsigned char)*rest))
			return false;
	}
	return true;
}

/* Of a long list a few may be called otherwise: SKB_CONSUMED among SKB_DROP_REASON_... The prefix that 7
 * of 8 share with the one in the middle; 0: there is none. */
static size_t usual_prefix_len(const struct names_row *rows, size_t count)
{
	const char *middle = rows[count / 2].name;
	size_t sharing;

	if (count < 16)
		return 0;
	for (size_t len = strlen(middle); len > 0; len--) {
		if (middle[len - 1] != '_' || !prefix_leaves_names(middle, len, rows, count))
			continue;
		sharing = 0;
		for (size_t i = 0; i < count; i++)
			sharing += !strncmp(rows[i].name, middle, len);
		if (sharing >= count - count / 8)
			return len;
	}
	return 0;
}

/* Bytes of the prefix: ends after a '_'. *ret_example gets a name that has it. */
static size_t prefix_len(const struct names_row *rows, size_t count, const char **ret_example)
{
	const char *first = NULL;
	size_t len = 0, having = 0, usual;

	for (size_t i = 0; i < count; i++) {
		if (!counts_for_prefix(rows[i].name))
			continue;
		if (having++ == 0) {
			first = rows[i].name;
			len = strlen(first);
		}
		len = common_len(first, rows[i].name, len);
	}
	*ret_example = first ? first : "";
	if (having < 2)
		return 0;
	usual = usual_prefix_len(rows, count);
	if (usual > len) {
		*ret_example = rows[count / 2].name;
		return usual;
	}
	for (; len > 0; len--)
		if (first[len - 1] == '_' && prefix_leaves_names(first, len, rows, count))
			return len;
	return 0;
}

static char *lower(char *name)
{
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return name;
}

static int by_value(const void *a, const void *b)
{
	const struct names_row *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

static bool has_value(const struct names_row *rows, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].value == value)
			return true;
	return false;
}

const struct names *names_new(struct arena *a, const char *enum_name, const struct names_row *rows,
			      size_t count)
{
	struct names_row *kept = arena_alloc(a, min(count, (size_t)NAMES_MAX) * sizeof(*kept) + 1);
	struct names *n = arena_new(a, struct names);
	size_t len, skip, usable = 0;
	const char *example;

	count = min(count, (size_t)NAMES_MAX);
	len = prefix_len(rows, count, &example);
	n->enum_name = arena_strdup(a, enum_name);
	n->prefix = arena_memdup(a, example, len);
	for (size_t i = 0; i < count; i++)
		usable += name_is_identifier(rows[i].name);
	for (size_t i = 0; i < count; i++) {
		if (!name_is_identifier(rows[i].name) || has_value(kept, n->count, rows[i].value))
			continue;
		skip = strncmp(rows[i].name, example, len) ? 0 : len;
		kept[n->count].value = rows[i].value;
		kept[n->count].name = arena_strdup(a, rows[i].name + skip);
		n->count++;
	}
	for (size_t i = 0; usable > 1 && i < n->count; i++)
		kept[i].name = lower(arena_strdup(a, kept[i].name));
	if (n->count)
		qsort(kept, n->count, sizeof(*kept), by_value);
	n->at = kept;
	return n;
}

const char *names_get(const struct names *n, uint64_t value)
{
	size_t low = 0, high = n->count, middle;

	/* most enums count from 0 without gaps */
	if (value < n->count && n->at[value].value == value)
		return n->at[value].name;
	while (low < high) {
		middle = low + (high - low) / 2;
		if (n->at[middle].value < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n->count && n->at[low].value == value ? n->at[low].name : NULL;
}

bool names_value(const struct names *n, const char *name, uint64_t *ret_value)
{
	size_t len = strlen(n->prefix);

	for (size_t i = 0; i < n->count; i++) {
		if (strcasecmp(n->at[i].name, name) != 0 &&
		    (!len || strncasecmp(name, n->prefix, len) != 0 ||
		     strcasecmp(n->at[i].name, name + len) != 0))
			continue;
		*ret_value = n->at[i].value;
		return true;
	}
	return false;
}
