/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The probe's own accounts. Each operation that the probe observes is counted once as seen and
 * once as what became of it, so that seen = sent + filtered + lost holds exactly. Added to
 * atomically: a program may be preempted by another on the same CPU.
 */
#pragma once

const volatile struct conf sonda_conf TAG("conf 1") = {};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct stats);
} sonda_stats SEC(".maps");

static __always_inline struct stats *stats_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&sonda_stats, &zero);
}

static __always_inline void count_one(u64 *n)
{
	__sync_fetch_and_add(n, 1);
}

/* An operation was not wanted: by a filter, or not notable. */
static __noinline int count_filtered(void)
{
	struct stats *s = stats_here();

	if (s) {
		count_one(&s->seen);
		count_one(&s->filtered);
	}
	return 0;
}

/* An operation happened and can't be told about. `why`: enum loss. */
static __noinline int count_lost(u32 why)
{
	struct stats *s = stats_here();

	if (s && why < LOSS_COUNT) {
		count_one(&s->seen);
		count_one(&s->lost[why]);
	}
	return 0;
}

/* Something in a delivered event could not be read. */
static __noinline int count_unresolved(void)
{
	struct stats *s = stats_here();

	if (s)
		count_one(&s->unresolved);
	return 0;
}
