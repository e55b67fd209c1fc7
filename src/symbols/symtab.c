/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorted symbols, and a pool of their names. */
#include "symbols/symtab.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "symbols/demangle.h"

enum { NAME_MAX_BYTES = 4096, POOL_MAX = 512 * 1024 * 1024, MODULES_MAX = 1 << 12 };

struct entry {
	uint64_t start;
	uint32_t size; /* 0: up to the next one */
	uint32_t name; /* in the pool */
	uint32_t module : 12;
	uint32_t rank : 8;
	uint32_t is_plain : 1; /* the name is as it is to be shown */
};

struct symtab {
	vec(struct entry) entries;
	struct strbuf names;
	struct strlist modules; /* from 1 */
	bool finished, later_wins;
};

struct symtab *symtab_new(void)
{
	return xnew(struct symtab);
}

void symtab_free(struct symtab *t)
{
	if (!t)
		return;
	vec_done(&t->entries);
	strbuf_done(&t->names);
	strlist_done(&t->modules);
	free(t);
}

/* Symbols of a module mostly follow one another. */
static uint32_t module_number(struct symtab *t, const char *name)
{
	if (!*name)
		return 0;
	for (size_t i = t->modules.len; i; i--)
		if (str_eq(t->modules.at[i - 1], name))
			return (uint32_t)i;
	if (t->modules.len + 1 >= MODULES_MAX)
		return 0;
	strlist_add(&t->modules, name);
	return (uint32_t)t->modules.len;
}

void symtab_add(struct symtab *t, uint64_t start, uint64_t size, const char *name, size_t len,
		const char *module, unsigned rank)
{
	struct entry *added;

	assert(!t->finished);
	len = strnlen(name, min(len, (size_t)NAME_MAX_BYTES));
	if (!len || t->entries.len >= SYMTAB_MAX || t->names.len > POOL_MAX)
		return;
	added = vec_add(&t->entries);
	added->start = start;
	added->size = (uint32_t)min(size, (uint64_t)UINT32_MAX);
	added->name = (uint32_t)t->names.len;
	added->module = module_number(t, module) & (MODULES_MAX - 1);
	added->rank = min(rank, 255u) & 255;
	strbuf_append(&t->names, name, len);
	strbuf_append(&t->names, "", 1);
}

static int by_start(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

void symtab_later_wins(struct symtab *t)
{
	t->later_wins = true;
}

void symtab_finish(struct symtab *t)
{
	size_t kept = 0;

	t->finished = true;
	vec_sort(&t->entries, by_start);
	for (size_t i = 0; i < t->entries.len; i++)
		if (!kept || t->entries.at[kept - 1].start != t->entries.at[i].start)
			t->entries.at[kept++] = t->entries.at[i];
		else if (t->later_wins)
			t->entries.at[kept - 1] = t->entries.at[i];
	t->entries.len = kept;
}

size_t symtab_count(const struct symtab *t)
{
	return t->entries.len;
}

size_t symtab_bytes(const struct symtab *t)
{
	return t->entries.cap * sizeof(*t->entries.at) + t->names.cap;
}

/* The last one that does not begin behind the address. */
static struct entry *entry_before(struct symtab *t, uint64_t address)
{
	size_t low = 0, high = t->entries.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->entries.at[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &t->entries.at[low - 1] : NULL;
}

static const char *entry_name(struct symtab *t, struct entry *found)
{
	auto_free char *plain = NULL;

	if (!found->is_plain) {
		found->is_plain = true;
		plain = demangle(t->names.s + found->name);
	}
	if (plain && t->names.len < POOL_MAX) {
		found->name = (uint32_t)t->names.len;
		strbuf_append(&t->names, plain, strlen(plain) + 1);
	}
	return t->names.s + found->name;
}

bool symtab_find(struct symtab *t, uint64_t address, struct symbol *ret)
{
	struct entry *found;

	assert(t->finished);
	found = entry_before(t, address);
	if (!found || (found->size && address - found->start >= found->size))
		return false;
	ret->name = entry_name(t, found);
	ret->module = found->module ? t->modules.at[found->module - 1] : "";
	ret->start = found->start;
	return true;
}
