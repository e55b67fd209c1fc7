/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What a fold is made of, for this folder: fold.c fills groups, sort.c sorts them. */
#include "base/arena.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "fold/fold.h"

struct group {
	struct value *labels;
	uint64_t *now, *before, *added; /* words: values, sums, slots */
	struct fold_row row;
};

struct fold {
	const struct schema *labels, *values;
	struct fold_columns columns;
	size_t *slots_at; /* where each histogram's slots begin, in words */
	size_t words;     /* of a group */
	struct arena arena;
	struct map by_key; /* of the labels' values -> group */
	vec(struct group *) groups;
	struct group *other;
	struct group *total; /* not among the groups; made when it is asked for */
	struct strbuf key;
	uint64_t at_ns, before_ns, first_ns;
	unsigned readings;
	bool reading;
	struct fold_row *sorted;
	size_t sorted_cap;
};
