/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Sets of rules, and what comes of those that match an operation. Decided first, told afterwards.
 */
#pragma once

#include "abi/policy_subject.h"

#include "alert.h"

static __always_inline void set_add(struct rule_set *to, const struct rule_set *from)
{
	_Pragma("unroll") for (int i = 0; i < RULE_WORDS; i++) to->words[i] |= from->words[i];
}

static __always_inline void set_keep(struct rule_set *to, const struct rule_set *from)
{
	_Pragma("unroll") for (int i = 0; i < RULE_WORDS; i++) to->words[i] &= from->words[i];
}

static __always_inline bool set_empty(const struct rule_set *set)
{
	return !(set->words[0] | set->words[1] | set->words[2] | set->words[3]);
}

/* Rules counted for one operation; of more, those that refuse decide unheard. */
#define RULES_AT_ONCE 4

/* log2 of a power of two, without a branch: each would double the ways to be verified. */
const volatile u8 bit_numbers[64] = {
	0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
	22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
	23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

/* Takes a rule out of the set; POLICY_RULES: it is empty. */
static __always_inline u32 set_take(struct rule_set *set)
{
	u64 word, lowest;

	for (u32 i = 0; i < RULE_WORDS; i++) {
		word = set->words[i];
		if (!word)
			continue;
		lowest = word & -word;
		set->words[i] = word ^ lowest;
		return i * 64 + bit_numbers[lowest * 0x022fdd63cc95386dull >> 58];
	}
	return POLICY_RULES;
}

/* What the rules that match come to. */
struct verdict {
	struct rule_set refusing,
		other; /* those that are still to be counted; empty when it begins */
	u32 rule;      /* that is told: the first that refuses, or else the first */
	u32 outcome;   /* enum outcome: its own; OUTCOME_NONE: there is none to tell */
	u32 beside;    /* the rules are of the policy beside the one in force: nothing is refused */
	u32 pad;
	u64 suppressed; /* alerts like this one that were not told since the last that was */
};

/* How rules that match are judged. */
enum judged { JUDGED_ALERT = 1, JUDGED_BESIDE = 2 };

static __always_inline bool set_has_rule(const struct rule_set *set, u32 rule)
{
	return rule < POLICY_RULES &&
	       set->words[(rule >> 6) & (RULE_WORDS - 1)] & 1ull << (rule & 63);
}

/* Is it the only one? */
static __always_inline bool set_is_lone(const struct rule_set *set, u32 rule)
{
	u64 others = 0;

	_Pragma("unroll") for (u32 i = 0; i < RULE_WORDS; i++) others |=
		set->words[i] ^ (i == rule >> 6 ? 1ull << (rule & 63) : 0);
	return !others;
}

/* What a rule that matches comes to: enum outcome; counts it. Global, to be verified once. */
__noinline u32 rule_comes_to(u32 gen, u32 rule, u32 judged)
{
	const struct policy_rule_row *row = rule_row(gen, rule);
	u32 outcome;

	if (!row)
		return OUTCOME_NONE;
	if (judged & JUDGED_ALERT)
		outcome = OUTCOME_WATCHED;
	else
		outcome = judged & JUDGED_BESIDE ? rule_foresee(row) : rule_judge(row);
	rule_count(row, outcome, 0);
	return outcome;
}

/* The next rule that matches, those that refuse first; POLICY_RULES: there is none. */
static __noinline u32 rule_take(struct verdict *v)
{
	u32 rule;

	if (!v)
		return POLICY_RULES;
	rule = set_take(&v->refusing);
	return rule == POLICY_RULES ? set_take(&v->other) : rule;
}

/* Counts all rules that match, those that refuse first. Is the operation refused? */
static __noinline bool rules_apply(struct verdict *v, const struct rule_set *rules, u32 gen,
				   const struct subject_rules *all)
{
	u32 rule, outcome, judged;

	if (!v || !rules || !all)
		return false;
	v->outcome = OUTCOME_NONE;
	v->refusing = *rules;
	set_keep(&v->refusing, &all->refusing);
	_Pragma("unroll") for (int i = 0; i < RULE_WORDS; i++) v->other.words[i] =
		rules->words[i] & ~all->refusing.words[i];
	for (int i = 0; i < RULES_AT_ONCE; i++) {
		rule = rule_take(v);
		if (rule >= POLICY_RULES)
			break;
		judged = v->beside ? JUDGED_BESIDE : 0;
		if (set_has_rule(&all->alerting, rule))
			judged |= JUDGED_ALERT;
		outcome = rule_comes_to(gen, rule, judged);
		if (!v->outcome || (outcome == OUTCOME_REFUSED && v->outcome != OUTCOME_REFUSED)) {
			v->outcome = outcome;
			v->rule = rule;
		}
	}
	if (v->outcome == OUTCOME_WATCHED && alert_suppressed(v->rule, gen, &v->suppressed))
		v->outcome = OUTCOME_NONE;
	return v->outcome == OUTCOME_REFUSED || !set_empty(&v->refusing);
}
