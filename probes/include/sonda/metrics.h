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

/*
 * A column that user space works out from two counters of the row, or two gauges: RATIO is part / whole,
 * RATIO_REST what is left, 1 - part / whole; never below 0 nor above 1, and not known when whole is 0. The
 * name ends in _ratio.
 *
 *	RATIO(opens, failed_ratio, failed, opens, DOC("opens that failed"));
 */
#define RATIO(table, name, part, whole, ...) \
	RATIO_OF("share", table, name, part, whole, __VA_ARGS__)
#define RATIO_REST(table, name, part, whole, ...) \
	RATIO_OF("rest", table, name, part, whole, __VA_ARGS__)
#define RATIO_OF(how, table, name, part, whole, ...)                                             \
	_Static_assert(sizeof(zero_##table.part) == 8 && sizeof(zero_##table.whole) == 8,        \
		       "RATIO: two counters or two gauges of the table");                        \
	const volatile u8 ratio_##table##_##name TAG("ratio " how " " #table " " #name " " #part \
						     " " #whole) __VA_ARGS__ = 0

#define tables_wanted() (!sonda_conf.tables_off)
/* Is it this one, of several? What isn't read needn't be counted. */
#define table_wanted(table) (tables_wanted() && label(table, 63))

/* Is the label, the `nth` member of the key (from 0), wanted? */
#define label(table, nth) (!(sonda_without_##table & (1ull << (nth))))

/* Is any of those wanted, a bit for each? To ask that first costs less than to ask for each that isn't. */
#define any_label(table, bits) (~sonda_without_##table & (bits))

static __noinline int count_overflow(void)
{
	struct stats *s = stats_here();

	if (s)
		count_one(&s->overflow);
	return 0;
}

/* The key of what a full table has no row for, however long keys are. */
static const u64 other_key[64] = { [0 ... 63] = ~0ull };

/* The row of `key` (a pointer), made if there is none; never NULL but for a vanished map. */
#define row_of(table, key)                                                                         \
	({                                                                                         \
		void *found_row = bpf_map_lookup_elem(&table, key);                                \
		if (!found_row) {                                                                  \
			bpf_map_update_elem(&table, key, &zero_##table, BPF_NOEXIST);              \
			found_row = bpf_map_lookup_elem(&table, key);                              \
		}                                                                                  \
		if (!found_row) {                                                                  \
			_Static_assert(sizeof(*(key)) <= sizeof(other_key), "a key");              \
			count_overflow();                                                          \
			found_row = bpf_map_lookup_elem(&table, other_key);                        \
		}                                                                                  \
		found_row;                                               \
	})

#define add(counter, n) __sync_fetch_and_add((u64 *)&(counter), (n))
#define set_gauge(gauge, n) ((gauge) = (n))
/* The same of a row that only this CPU has, in a program that nothing interrupts. */
#define add_alone(counter, n) ((counter) += (n))

/* --- fronts --- */

/*
 * A table that is counted in very often may have a front: an array in which a row is found by a number
 * made of its labels, without the kernel's hash of them. A row whose place there is another's is in the
 * table itself. They are read as one, and what has equal labels is added up: a row may be in both.
 *
 *	METRICS(waits, struct wait_labels, struct wait_values, 1024, "Waits");
 *	FRONT(waits, struct wait_labels, struct wait_values, 512);
 *	...
 *	id = labels_id(&key, sizeof(key), 0);
 *	v = front_row(waits, id) ?: front_begin(waits, id, &key);
 *
 * With the CPU as the number's seed each CPU has rows of its own.
 */
#define FRONT(table, K, V, slots)                                                         \
	_Static_assert(sizeof(K) % 8 == 0 && _Alignof(K) == 8, "labels are whole words"); \
	_Static_assert(((slots) & ((slots)-1)) == 0, "slots are a power of two");         \
	enum { front_slots_##table = (slots) };                                           \
	struct front_##table {                                                            \
		u64 id; /* 0: nobody's yet */                                             \
		u64 claims;                                                               \
		K labels;                                                                 \
		V values;                                                                 \
	};                                                                                \
	struct {                                                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                         \
		__uint(max_entries, slots);                                               \
		__type(key, u32);                                                         \
		__type(value, struct front_##table);                                      \
	} front_##table SEC(".maps")

typedef u64 __attribute__((may_alias)) label_word;

static __always_inline u64 id_mix(u64 id, u64 word)
{
	id = (id ^ word) * 0x9e3779b97f4a7c15ull;
	return id ^ id >> 32;
}

/* A number that is another for each address: verifiers let nobody multiply a pointer, but count how far
 * it is from another. */
#define address_number(of) ((u64)(of) - (u64)&sonda_conf)

/* A number that stands for the first `size` bytes of the labels. */
static __always_inline u64 labels_id(const void *labels, u32 size, u64 seed)
{
	const label_word *words = labels;

#pragma unroll
	for (u32 i = 0; i < size / sizeof(*words); i++)
		seed = id_mix(seed, words[i]);
	return seed ?: 1;
}

#define front_slot(table, id)                                                           \
	({                                                                              \
		u32 front_at = (id) >> 32 & (front_slots_##table - 1);                  \
		(struct front_##table *)bpf_map_lookup_elem(&front_##table, &front_at); \
	})
/* The row of that number, or NULL: it is not in front. */
#define front_row(table, want)                                                          \
	({                                                                              \
		struct front_##table *front_found = front_slot(table, want);            \
		front_found && front_found->id == (want) ? &front_found->values : NULL; \
	})

/* Two who want a slot at once both go without, and so does everybody after them. */
static __always_inline bool front_claimed(u64 *claims)
{
	if (*claims)
		return false;
	add(*claims, 1);
	return *(volatile u64 *)claims == 1;
}

/* The row of `key`, whose number is `want`: in front where that has a place left. */
#define front_begin(table, want, key)                                                        \
	({                                                                                   \
		struct front_##table *front_new = front_slot(table, want);                   \
		typeof(front_new->values) *front_begun;                                      \
		if (front_new && front_claimed(&front_new->claims)) {                        \
			front_new->labels = *(key);                                          \
			barrier();                                                           \
			front_new->id = (want);                                              \
			front_begun = &front_new->values;                                    \
		} else {                                                                     \
			front_begun = row_of(table, key);                                    \
		}                                                                            \
		front_begun;                                                                 \
	})

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

/* How many bits a number has. By a table: clang 14 has no clz for BPF. */
/* clang-format off */
static const u8 bits_of[256] = {
	[1] = 1, [2 ... 3] = 2, [4 ... 7] = 3, [8 ... 15] = 4, [16 ... 31] = 5, [32 ... 63] = 6,
	[64 ... 127] = 7, [128 ... 255] = 8,
};
/* clang-format on */

/* Least i with v <= 2^i, at most n - 1. The barriers keep compilers from doing what branches leave out. */
static __always_inline u32 log2_slot(u64 v, u32 n)
{
	u32 i = 0, low;

	if (v <= 1)
		return 0;
	v--;
	if (v >> 32) {
		v >>= 32;
		i = 32;
		barrier_var(i);
	}
	low = v;
	if (low > 0xffff) {
		low >>= 16;
		i += 16;
		barrier_var(i);
	}
	if (low > 0xff) {
		low >>= 8;
		i += 8;
		barrier_var(i);
	}
	i += bits_of[low & 255];
	barrier_var(i); /* or compilers leave out a check of what they know */
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
		add((h).slots[log2_slot(seen_value, HIST_SLOTS(h))], 1);                           \
		add((h).sum, seen_value);                                                          \
	} while (0)
#define observe_alone(h, v)                                                                        \
	do {                                                                                       \
		u64 seen_value = (v);                                                              \
		add_alone((h).slots[log2_slot(seen_value, HIST_SLOTS(h))], 1);                     \
		add_alone((h).sum, seen_value);                                                    \
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
