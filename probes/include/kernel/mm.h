/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a process has in memory: the counters that /proc/PID/status shows, in pages.
 */
#pragma once

#include "kernel/task.h"
#include "kernel/page.h"

/* Indices of mm_struct::rss_stat; the numbers are the same from 5.8 to 7.x. */
enum mm_counter {
	MM_COUNTER_FILE,
	MM_COUNTER_ANON,
	MM_COUNTER_SWAP,
	MM_COUNTER_SHMEM,
	MM_COUNTERS
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct percpu_counter {
	s64 count;
	s32 *counters; /* what each CPU has not yet added to `count` */
};
struct mm_struct___counters {
	struct {
		long counter;
	} pgtables_bytes;
	unsigned long hiwater_rss;
	unsigned long total_vm;
	struct percpu_counter rss_stat[MM_COUNTERS];
};
struct bpf_array {
	void *pptrs[0];
};
/* rss_stat became percpu_counters in 6.2 (f1a7941243c1) */
struct mm_rss_stat {
	struct {
		long counter;
	} count[MM_COUNTERS]; /* and nothing else */
};
struct mm_struct___pre62 {
	struct mm_rss_stat rss_stat;
};

#pragma clang attribute pop

#define MM_CPUS   32 /* looked at in a round */
#define MM_ROUNDS 32

/* Makes an address a number that can be computed with: by writing it where it is read back. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} mm_address SEC(".maps");

static __always_inline u64 address_of(const void *pointer)
{
	u64 *address, read;
	u32 zero = 0;

	address = bpf_map_lookup_elem(&mm_address, &zero);
	if (!address)
		return 0;
	*(volatile u64 *)address = (u64)pointer;
	read = *(volatile u64 *)address;
	return read;
}

/* How far the copies of CPU `cpu` lie from what a per-CPU pointer holds: as far as those of a map's
 * element, for no symbol tells it where kallsyms has no data. 0: there is no such CPU. */
static __always_inline u64 percpu_offset(u32 cpu)
{
	struct bpf_array *array;
	u64 base = 0;
	u32 zero = 0;
	void *copy = bpf_map_lookup_percpu_elem(&sonda_stats, &zero, cpu);

	if (!copy)
		return 0;
	array = (void *)address_of(&sonda_stats);
	bpf_probe_read_kernel(&base, sizeof(base),
			      (void *)array + bpf_core_field_offset(array->pptrs));
	return address_of(copy) - base;
}

/* What some CPUs have of a counter (s32 *); global, so that it is verified once. */
__noinline s64 mm_pages_of_cpus(u64 counters, u32 first)
{
	u64 offset;
	s64 sum = 0;
	s32 n;

	if (bpf_core_type_exists(struct mm_rss_stat)) /* there is none, nor the helper for it */
		return 0;
	for (u32 i = 0; i < MM_CPUS; i++) {
		offset = percpu_offset(first + i);
		if (!offset)
			break;
		n = 0;
		bpf_probe_read_kernel(&n, sizeof(n), (void *)(counters + offset));
		sum += n;
	}
	return sum;
}

/* What all of them have; global for the same reason. */
__noinline s64 mm_pages_of_all_cpus(u64 counters)
{
	s64 sum = 0;

	if (bpf_core_type_exists(struct mm_rss_stat))
		return 0;
	for (u32 i = 0; i < MM_ROUNDS && percpu_offset(i * MM_CPUS); i++)
		sum += mm_pages_of_cpus(counters, i * MM_CPUS);
	return sum;
}

/* What CPUs have of the counter `nth`. */
static __always_inline s64 mm_pages_spread(struct mm_struct *mm, u32 nth)
{
	struct mm_struct___counters *counters = (void *)mm;
	struct percpu_counter *spread;

	if (bpf_core_type_exists(struct mm_rss_stat))
		return 0;
	spread = (void *)counters + bpf_core_field_offset(counters->rss_stat) +
		 nth * bpf_core_type_size(struct percpu_counter);
	return mm_pages_of_all_cpus((u64)BPF_CORE_READ(spread, counters));
}

/* 5.10 refuses plain loads of it. */
static __always_inline s64 mm_pages_pre62(struct mm_struct *mm, u32 nth)
{
	struct mm_struct___pre62 *old = (void *)mm;
	s64 pages = 0;

	bpf_probe_read_kernel(&pages, sizeof(pages),
			      (void *)old + bpf_core_field_offset(old->rss_stat) +
				      nth * sizeof(pages));
	return pages;
}

/* A counter, roughly; `exact`: with what CPUs have of it. Only for an mm that the verifier knows to be
 * one, as a member of the task that a tp_btf or iterator program is given: then it is a plain load. */
#define mm_counter_bytes(mm, nth, exact)                                                      \
	({                                                                                    \
		s64 counted;                                                                  \
		if (bpf_core_type_exists(struct mm_rss_stat))                                 \
			counted = mm_pages_pre62(mm, nth);                                    \
		else                                                                          \
			counted = ((struct mm_struct___counters *)(mm))->rss_stat[nth].count; \
		if (exact)                                                                    \
			counted += mm_pages_spread(mm, nth);                                  \
		(u64)(counted > 0 ? counted : 0) * page_size();                               \
	})

static __always_inline u64 mm_pgtables_bytes(struct mm_struct *mm)
{
	return BPF_CORE_READ((struct mm_struct___counters *)mm, pgtables_bytes.counter);
}

static __always_inline u64 mm_virtual_bytes(struct mm_struct *mm)
{
	return BPF_CORE_READ((struct mm_struct___counters *)mm, total_vm) * page_size();
}
