/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How long a system call took, for probes that find everything else at its exit. Two stores in an
 * array instead of an insertion and a deletion in a hash map.
 *
 *	call_begins();			at the entry
 *	took_ns = call_took();		at the exit; -1: the entry was not seen
 *	took_ns = call_took_at(id, now);	the same, by who knows bpf_get_current_pid_tgid() and
 *					bpf_ktime_get_boot_ns()
 *
 * Threads whose ids are equal in their lower bits share a place; the one that came first is then told
 * -1, never another's time.
 */
#pragma once

#define CALL_PLACE_BITS 14
#define CALL_TIME_BITS  56

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << CALL_PLACE_BITS);
	__type(key, u32);
	__type(value,
	       u64); /* time, below the upper bits of the thread's id: written in one store */
} sonda_calls SEC(".maps");

static __always_inline u64 *call_place(u32 tid, u64 *ret_who)
{
	u32 place = tid & ((1 << CALL_PLACE_BITS) - 1);

	*ret_who = (u64)(tid >> CALL_PLACE_BITS) << CALL_TIME_BITS;
	return bpf_map_lookup_elem(&sonda_calls, &place);
}

static __always_inline void call_begins(void)
{
	u64 who, *place = call_place(bpf_get_current_pid_tgid(), &who);

	if (place)
		*place = who | (bpf_ktime_get_boot_ns() & ((1ull << CALL_TIME_BITS) - 1));
}

static __always_inline s64 call_took_at(u64 id, u64 now_ns)
{
	u64 who, began, *place = call_place(id, &who);

	if (!place)
		return -1;
	began = *place;
	*place = 0;
	if (!began || (began ^ who) >> CALL_TIME_BITS)
		return -1;
	return (now_ns & ((1ull << CALL_TIME_BITS) - 1)) - (began - who);
}

static __always_inline s64 call_took(void)
{
	return call_took_at(bpf_get_current_pid_tgid(), bpf_ktime_get_boot_ns());
}
