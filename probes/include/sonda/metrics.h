/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Metric tables: counted in the kernel, read without being emptied. The members of the key struct
 * are labels, those of the value struct counters, gauges and histograms.
 *
 *	METRICS(opens, struct open_labels, struct open_values, 2048, "File opens");
 *	...
 *	if (label(opens, comm)) ...;	--by left it out? then don't compute it
 *	v = row_of(opens, &key);
 *	if (v) { add(v->opens, 1); observe(v->took, ns); }
 *
 * A full table goes on in its "other" row (key of all ones, which the loader puts there), so that
 * totals stay right; how often is counted. The key struct must have no holes: pad by name.
 */
#pragma once

#define METRICS_TABLE(map_type, name, K, V, rows, doc)                                             \
	struct {                                                                                   \
		__uint(type, map_type);                                                            \
		__uint(max_entries, rows);                                                         \
		__type(key, K);                                                                    \
		__type(value, V);                                                                  \
	} name TAG("metrics 1") DOC(doc) SEC(".maps");                                             \
	/* labels that --by leaves out, a bit for each member of K in order */                     \
	const volatile u64 sonda_without_##name TAG("labels " #name) = 0;                          \
	static const V zero_##name
#define METRICS(name, K, V, rows, doc) METRICS_TABLE(BPF_MAP_TYPE_HASH, name, K, V, rows, doc)
/* One copy for each CPU: for what is counted very often. */
#define METRICS_PERCPU(name, K, V, rows, doc)                                                      \
	METRICS_TABLE(BPF_MAP_TYPE_PERCPU_HASH, name, K, V, rows, doc)

#define tables_wanted() (!sonda_conf.tables_off)
/* Is it this one, of several? What isn't read needn't be counted. */
#define table_wanted(table) (tables_wanted() && label(table, 63))

/* Is the label, the `nth` member of the key (from 0), wanted? */
#define label(table, nth) (!(sonda_without_##table & (1ull << (nth))))

static __noinline int count_overflow(void)
{
	struct stats *s = stats_here();

	if (s)
		count_one(&s->overflow);
	return 0;
}

/* The row of `key` (a pointer), made if there is none; never NULL but for a vanished map. */
#define row_of(table, key)                                                                         \
	({                                                                                         \
		void *found_row = bpf_map_lookup_elem(&table, key);                                \
		if (!found_row) {                                                                  \
			bpf_map_update_elem(&table, key, &zero_##table, BPF_NOEXIST);              \
			found_row = bpf_map_lookup_elem(&table, key);                              \
		}                                                                                  \
		if (!found_row) {                                                                  \
			typeof(*(key)) other_key;                                                  \
			__builtin_memset(&other_key, 0xff, sizeof(other_key));                     \
			count_overflow();                                                          \
			found_row = bpf_map_lookup_elem(&table, &other_key);                       \
		}                                                                                  \
		found_row;                                               \
	})

#define add(counter, n) __sync_fetch_and_add((u64 *)&(counter), (n))
#define set_gauge(gauge, n) ((gauge) = (n))

/* --- histograms: members of V --- */

/* slots[i] counts v <= 2^i (the last one also all above) */
#define HIST_LOG2(name, slots_n, ...)                                                              \
	struct {                                                                                   \
		u64 sum;                                                                           \
		u64 slots[slots_n];                                                                \
	} name TAG("hist log2") __VA_ARGS__
/* slots[i] counts v <= low + step * i (the last one also all above) */
#define HIST_LINEAR(name, slots_n, low, step, ...)                                                 \
	struct {                                                                                   \
		u64 sum;                                                                           \
		u64 slots[slots_n];                                                                \
	} name TAG("hist linear " #low " " #step) __VA_ARGS__
/* BOUNDS(rtt, 100, 200, 500, 1000) HIST_BOUNDS(took, rtt, 4 bounds): slots[i] counts
 * v <= rtt[i], slots[n] all above */
#define BOUNDS(name, ...) const volatile u64 bounds_##name[] TAG("bounds " #name) = { __VA_ARGS__ }
#define HIST_BOUNDS(name, bounds, bounds_n, ...)                                                   \
	struct {                                                                                   \
		u64 sum;                                                                           \
		u64 slots[(bounds_n) + 1];                                                         \
	} name TAG("hist bounds " #bounds) __VA_ARGS__

/* Least i with v <= 2^i, at most n - 1. By shifts: clang 14 has no clz for BPF. */
static __always_inline u32 log2_slot(u64 v, u32 n)
{
	u32 i = 0;

	if (v <= 1)
		return 0;
	v--;
	if (v >> 32) {
		v >>= 32;
		i += 32;
	}
	if (v >> 16) {
		v >>= 16;
		i += 16;
	}
	if (v >> 8) {
		v >>= 8;
		i += 8;
	}
	if (v >> 4) {
		v >>= 4;
		i += 4;
	}
	if (v >> 2) {
		v >>= 2;
		i += 2;
	}
	if (v >> 1)
		i += 1;
	i++;
	return i < n ? i : n - 1;
}

static __always_inline u32 linear_slot(u64 v, u64 low, u64 step, u32 n)
{
	u64 i = v <= low ? 0 : (v - low + step - 1) / step;

	return i < n ? i : n - 1;
}

static __always_inline u32 bounds_slot(u64 v, const volatile u64 *bounds, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (v <= bounds[i])
			break;
	return i;
}

#define HIST_SLOTS(h) (sizeof((h).slots) / sizeof((h).slots[0]))
#define hist_add(h, slot, v)                                                                       \
	do {                                                                                       \
		u32 hist_slot = (slot);                                                            \
		barrier_var(hist_slot); /* or compilers leave out the check, which they know */    \
		if (hist_slot < HIST_SLOTS(h))                                                     \
			__sync_fetch_and_add(&(h).slots[hist_slot], 1);                            \
		__sync_fetch_and_add(&(h).sum, (v));                                               \
	} while (0)
#define observe(h, v)                                                                              \
	do {                                                                                       \
		u64 seen_value = (v);                                                              \
		hist_add(h, log2_slot(seen_value, HIST_SLOTS(h)), seen_value);                     \
	} while (0)
#define observe_linear(h, v, low, step)                                                            \
	do {                                                                                       \
		u64 seen_value = (v);                                                              \
		hist_add(h, linear_slot(seen_value, low, step, HIST_SLOTS(h)), seen_value);        \
	} while (0)
#define observe_bounds(h, v, name)                                                                 \
	do {                                                                                       \
		u64 seen_value = (v);                                                              \
		hist_add(h, bounds_slot(seen_value, bounds_##name, HIST_SLOTS(h) - 1), seen_value);\
	} while (0)
