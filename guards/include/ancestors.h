/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Conditions about what a process descends from. ancestry.bpf.c keeps the lines true. */
#pragma once

#include "line.h"
#include "verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ANCESTOR_RULES);
	__type(key, u32);
	__type(value, struct ancestor_rules);
} ancestor_rules SEC(".maps");

/* Adds what the four bits `value` of a line mean. */
static __always_inline void ancestors_add(struct ancestor_rules *sum, u32 gen, u32 part, u32 value)
{
	u32 at = ANCESTOR_RULES_AT(gen, part, value);
	struct ancestor_rules *rules = bpf_map_lookup_elem(&ancestor_rules, &at);

	if (!rules)
		return;
	set_add(&sum->gives, &rules->gives);
	set_add(&sum->takes, &rules->takes);
}

/* Keeps the rules whose conditions about ancestors the task fulfils. `own`: the bit of the program that it counts
 * as. Of who isn't known all are kept: no condition saves it. */
static __noinline int ancestors_keep(struct rule_set *rules, u32 gen,
				     const struct subject_rules *all, struct task_struct *task,
				     u64 own)
{
	struct ancestor_rules sum = {};
	struct policy_line *line;

	if (!rules || !all)
		return 0;
	line = line_of(task);
	if (!line)
		return 0;
	own |= line_programs(line);
	sum.gives = all->others[SUBJECT_ANCESTOR];
	for (u32 part = 0; part < ANCESTOR_PARTS; part++) {
		if (own & 15)
			ancestors_add(&sum, gen, part, own & 15);
		own >>= 4;
	}
	set_keep(rules, &sum.gives);
	_Pragma("unroll") for (int i = 0; i < RULE_WORDS; i++) rules->words[i] &=
		~sum.takes.words[i];
	return 0;
}
