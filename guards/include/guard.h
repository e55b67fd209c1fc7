/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What all guards have in common: the generation in force, and what a rule that matches comes to. A guard
 * is written in the probe language, with this file on top: its refusals are its events.
 *
 *	u32 gen = policy_generation();
 *	if (gen == POLICY_NOBODY) let it pass
 *	... find the rule that is about it, in the guard's own maps of generation `gen` ...
 *	outcome = rule_outcome(gen, rule, bytes);	counts it
 *	refuse if outcome == OUTCOME_REFUSED; report afterwards, never before
 */
#pragma once

#include "sonda.bpf.h"

#include "abi/policy.h"

/* A program that isn't attached when the guard is loaded but by hand (bpf/xdp.h), to one thing or many. */
#define LATER TAG("later 1")

enum outcome {
	OUTCOME_NONE, /* the rule has expired */
	OUTCOME_REFUSED,
	OUTCOME_AUDITED,      /* would have been refused: the rule is in audit mode */
	OUTCOME_TRIPPED,      /* likewise, because the rule refused too much */
	OUTCOME_WATCHED,      /* the rule only tells */
	OUTCOME_CHANGED,      /* marked, copied, or sent elsewhere */
	OUTCOME_WOULD_REFUSE, /* the rule is of the policy that lies beside the one in force */
	OUTCOME_ANSWERED,  /* it was answered in the place of whom it was for */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} policy_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * POLICY_RULES);
	__type(key, u32);
	__type(value, struct policy_rule_row);
} policy_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, POLICY_SLOTS);
	__type(key, u32);
	__type(value, struct policy_count);
} policy_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_SLOTS);
	__type(key, u32);
	__type(value, struct policy_trip);
} policy_trips SEC(".maps");

/*
 * The generation that decides now: 0, 1, or POLICY_NOBODY. *ret_beside: the one that lies beside it, to be
 * judged as well when the verdict stands, as if it alone were in force, but for what rule_foresee() says;
 * or POLICY_NOBODY.
 */
static __always_inline u32 policy_generations(u32 *ret_beside)
{
	u32 zero = 0, gen;
	u64 *state = bpf_map_lookup_elem(&policy_state, &zero), word, deadline_ms;

	*ret_beside = POLICY_NOBODY;
	if (!state)
		return POLICY_NOBODY;
	word = *(volatile u64 *)state;
	gen = POLICY_ACTIVE(word);
	deadline_ms = POLICY_DEADLINE(word);
	if (deadline_ms && bpf_ktime_get_boot_ns() > deadline_ms * 1000000)
		gen ^= 1;
	if (word & POLICY_BESIDE)
		*ret_beside = gen ^ 1;
	return word & POLICY_HOLDS(gen) ? gen : POLICY_NOBODY;
}

static __always_inline u32 policy_beside(void)
{
	u32 beside;

	policy_generations(&beside);
	return beside;
}

static __always_inline u32 policy_generation(void)
{
	u32 beside;

	return policy_generations(&beside);
}

/* Has the rule refused more than it may? Counts this one. */
static __always_inline bool rule_trips(const struct policy_rule_row *row)
{
	struct policy_trip *trip = bpf_map_lookup_elem(&policy_trips, &row->slot);
	u64 now_ns;

	if (!trip)
		return false;
	if (trip->tripped)
		return true;
	now_ns = bpf_ktime_get_boot_ns();
	if (now_ns - trip->since_ns > 60000000000ull) {
		trip->since_ns = now_ns;
		trip->refused = 0;
	}
	__sync_fetch_and_add(&trip->refused, 1);
	if (trip->refused <= row->trip_per_min)
		return false;
	trip->tripped = 1;
	return true;
}

/* What a guard's programs share with nobody while they run needs no atomic adds: XDP. */
#ifdef GUARD_ALONE
#define count_add(to, n) ((to) += (n))
#else
#define count_add(to, n) __sync_fetch_and_add(&(to), n)
#endif

/* The rule as it stands; NULL: it has expired. */
static __always_inline struct policy_rule_row *rule_row(u32 gen, u32 rule)
{
	u32 at = gen * POLICY_RULES + rule;
	struct policy_rule_row *row = bpf_map_lookup_elem(&policy_rules, &at);

	if (!row || (row->expires_ns && bpf_ktime_get_boot_ns() > row->expires_ns))
		return NULL;
	return row;
}

/* What comes of an operation that the rule refuses. */
static __always_inline enum outcome rule_judge(const struct policy_rule_row *row)
{
	if (row->mode == POLICY_AUDIT)
		return OUTCOME_AUDITED;
	return row->trip_per_min && rule_trips(row) ? OUTCOME_TRIPPED : OUTCOME_REFUSED;
}

/* What would come of it if the generation beside were in force. */
static __always_inline enum outcome rule_foresee(const struct policy_rule_row *row)
{
	enum outcome outcome = rule_judge(row);

	return outcome == OUTCOME_REFUSED ? OUTCOME_WOULD_REFUSE : outcome;
}

/* Counts what the rule is about; `outcome`: what came of it, if the rule refuses. */
static __always_inline void rule_count_many(const struct policy_rule_row *row, u64 times,
					    enum outcome outcome, u64 bytes)
{
	struct policy_count *count = bpf_map_lookup_elem(&policy_counts, &row->slot);

	if (!count)
		return;
	count_add(count->matched, times);
	if (bytes) /* an add of nothing is made an "or", which 5.10 hasn't got */
		count_add(count->bytes, bytes);
	if (outcome == OUTCOME_REFUSED)
		count_add(count->refused, times);
	else if (outcome && outcome != OUTCOME_WATCHED)
		count_add(count->would, times);
}

static __always_inline void rule_count(const struct policy_rule_row *row, enum outcome outcome,
				       u64 bytes)
{
	rule_count_many(row, 1, outcome, bytes);
}

/* What comes of an operation that the rule is about; counts it. `bytes` are a packet's. */
static __always_inline enum outcome rule_outcome(u32 gen, u32 rule, u64 bytes,
						 const struct policy_rule_row **ret_row)
{
	struct policy_rule_row *row = rule_row(gen, rule);
	enum outcome outcome;

	if (!row)
		return OUTCOME_NONE;
	*ret_row = row;
	outcome = rule_judge(row);
	rule_count(row, outcome, bytes);
	return outcome;
}

/* An event of it found no room. */
static __always_inline void rule_untold(const struct policy_rule_row *row)
{
	struct policy_count *count = bpf_map_lookup_elem(&policy_counts, &row->slot);

	if (count)
		__sync_fetch_and_add(&count->untold, 1);
}
