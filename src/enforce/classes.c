/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of clauses, each kept once. */
#include "enforce/classes.h"

#include <assert.h>

uint32_t class_of(struct classes *c, const struct clause_set *set)
{
	uintptr_t number = (uintptr_t)map_get_bytes(&c->numbers, set, sizeof(*set));

	if (number)
		return (uint32_t)(number - 1);
	vec_push(&c->sets, *set);
	map_put_bytes(&c->numbers, set, sizeof(*set), (void *)(uintptr_t)c->sets.len);
	return (uint32_t)(c->sets.len - 1);
}

void classes_init(struct classes *c)
{
	*c = (struct classes){ 0 };
	(void)!class_of(c, &(struct clause_set){ 0 });
}

void classes_done(struct classes *c)
{
	vec_done(&c->sets);
	map_done(&c->numbers, NULL);
	map_done(&c->joined, NULL);
}

bool class_has(const struct classes *c, uint32_t class, unsigned clause)
{
	assert(class < c->sets.len && clause < CLAUSES_MAX);
	return c->sets.at[class].words[clause / 64] >> clause % 64 & 1;
}

uint32_t class_with(struct classes *c, uint32_t class, unsigned clause)
{
	uint64_t key = (uint64_t) class << 16 | clause;
	uintptr_t known = (uintptr_t)map_get(&c->joined, key);
	struct clause_set set;
	uint32_t joined;

	if (known)
		return (uint32_t)(known - 1);
	assert(class < c->sets.len && clause < CLAUSES_MAX);
	set = c->sets.at[class];
	set.words[clause / 64] |= 1ull << clause % 64;
	joined = class_of(c, &set);
	map_put(&c->joined, key, (void *)(uintptr_t)(joined + 1));
	return joined;
}
