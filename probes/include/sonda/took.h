/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How long a system call took, for probes that find everything else at its exit. Two stores in an
 * array instead of an insertion and a deletion in a hash map.
 *
 *	call_begins();			at the entry
 *	took_ns = call_took();		at the exit; -1: the entry was not seen
 *
 * Threads whose ids are equal in their lower bits share a place; the one that came first is then told
 * -1, never another's time.
 */
#pragma once

#define CALL_PLACE_BITS 14
#define CALL_TIME_BITS 56

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << CALL_PLACE_BITS);
	__type(key, u32);
	__type(value, u64); /* time, below the upper bits of the thread's id: written in one store */
} sonda_calls SEC(".maps");

static __always_inline u64 *call_place(u64 *ret_who)
{
	u32 tid = bpf_get_current_pid_tgid();
	u32 place = tid & ((1 << CALL_PLACE_BITS) - 1);

	*ret_who = (u64)(tid >> CALL_PLACE_BITS) << CALL_TIME_BITS;
	return bpf_map_lookup_elem(&sonda_calls, &place);
}

static __always_inline u64 call_clock(void)
{
	return bpf_ktime_get_ns() & ((1ull << CALL_TIME_BITS) - 1);
}

static __always_inline void call_begins(void)
{
	u64 who, *place = call_place(&who);

	if (place)
		*place = who | call_clock();
}

static __always_inline s64 call_took(void)
{
	u64 who, began, *place = call_place(&who);

	if (!place)
		return -1;
	began = *place;
	*place = 0;
	if (!began || (began ^ who) >> CALL_TIME_BITS)
		return -1;
	return call_clock() - (began - who);
}
