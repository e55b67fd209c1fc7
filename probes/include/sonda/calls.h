/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Every system call of the machine, from its entry to its exit. These two hooks are the busiest that
 * there are, so a call costs two stores in an array and no insertion anywhere, and what the filters
 * refuse is decided once, at the entry.
 *
 *	call_enters(nr);				SEC("tp_btf/sys_enter")
 *	if (call_leaves(&call, nr, ret)) ...		SEC("tp_btf/sys_exit"): it is wanted
 *
 * `nr` is the number as the kernel has it. What is special about some calls is dealt with here:
 * clone returns twice, but only one of them has called; rt_sigreturn gives back the registers of
 * another time; execve of a thread returns in the first thread, which may have been in a call of its
 * own; exit never returns; a number means something else in a 32-bit call.
 */
#pragma once

#include "kernel/syscall.h"

#include <asm/unistd.h>

/*
 * Where a thread's call under way is noted. Threads whose ids are equal in their lower bits share a
 * place: of the one that came first it is then not known how long it took. Neighbours are in
 * different cache lines, as they run on different CPUs.
 */
struct call_place {
	u64 began; /* time, below the upper bits of the thread's id; 0: nothing */
	u64 nr;
};
#define CALL_LATE       (1ull << 48) /* in `nr`: who came first to look found it under way */
#define CALL_PLACE_BITS 16
#define CALL_TIME_BITS  58
#define CALL_TIME       ((1ull << CALL_TIME_BITS) - 1)
#define CALL_REFUSED    1 /* instead of a time: the filters don't want it */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << CALL_PLACE_BITS);
	__type(key, u32);
	__type(value, struct call_place);
} sonda_calls_now SEC(".maps");

/* A call that is over. */
struct call {
	long nr;     /* call_number() makes a KIND("syscall") of it */
	s64 took_ns; /* -1: the entry was not seen */
	s32 err;     /* 0 or negative; a call that a signal interrupted has not failed */
	bool late;   /* it had begun before it was looked at first: it took longer */
};

/* From here on numbers stand for no call. Whoever tries them all shall not fill a table. */
#define SYSCALL_NR_MAX  1024
#define SYSCALL_UNKNOWN 0x1fffffff
#define SYSCALL_32BIT   0x20000000 /* the number is of the 32-bit table */

/* A task's call, and the current one's. */
static __always_inline u32 call_number_of(struct task_struct *task, long nr)
{
	nr &= ~SYSCALL_NR_X32;
	if ((unsigned long)nr >= SYSCALL_NR_MAX)
		return SYSCALL_UNKNOWN;
	return nr | (task_syscall_is_32bit(task) ? SYSCALL_32BIT : 0);
}
static __always_inline u32 call_number(long nr)
{
	return call_number_of(current_task(), nr);
}

static __always_inline struct call_place *call_place_of(u32 tid, u64 *ret_who)
{
	u32 low = tid & ((1 << CALL_PLACE_BITS) - 1);
	u32 place = (low << 2 | low >> (CALL_PLACE_BITS - 2)) & ((1 << CALL_PLACE_BITS) - 1);

	*ret_who = (u64)(tid >> CALL_PLACE_BITS) << CALL_TIME_BITS;
	return bpf_map_lookup_elem(&sonda_calls_now, &place);
}

static __always_inline u64 call_clock(void)
{
	return bpf_ktime_get_ns() & CALL_TIME;
}

static __always_inline void call_enters(long nr)
{
	u64 id = bpf_get_current_pid_tgid(), who;
	struct call_place *place = call_place_of(id, &who);

	if (!place || (sonda_conf.self && id >> 32 == sonda_conf.self))
		return;
	place->nr = nr;
	if (sonda_conf.sets_on && !task_in_filters(current_task()))
		place->began = who | CALL_REFUSED;
	else
		place->began = who | call_clock();
}

/* Is it the new process or thread that returns? It has not called. */
static __always_inline bool call_is_birth(long nr, long ret)
{
	if (ret)
		return false;
	nr &= ~SYSCALL_NR_X32;
	if (syscall_is_32bit())
		return nr == 2 || nr == 120 || nr == 190 || nr == __NR_clone3;
#ifdef __NR_fork
	if (nr == __NR_fork || nr == __NR_vfork)
		return true;
#endif
	return nr == __NR_clone || nr == __NR_clone3;
}

static __always_inline bool call_never_returns(long nr)
{
	nr &= ~SYSCALL_NR_X32;
	if (nr == __NR_exit || nr == __NR_exit_group)
		return !syscall_is_32bit();
	return (nr == 1 || nr == 252) && syscall_is_32bit();
}

static __always_inline s32 call_error(long nr, long ret)
{
	if (ret >= 0 || ret < -4095 || nr == -1)
		return 0;
	return syscall_is_interrupted(ret) ? 0 : ret;
}

/* Is the call that returns wanted? Counts it when not. */
static __always_inline bool call_leaves(struct call *call, long nr, long ret)
{
	u64 who, began;
	long was;
	struct call_place *place = call_place_of(bpf_get_current_pid_tgid(), &who);

	if (!place)
		return false;
	began = place->began;
	call->nr = nr;
	call->err = call_error(nr, ret);
	call->took_ns = -1;
	call->late = false;
	if (!began || (began ^ who) >> CALL_TIME_BITS)
		return !call_is_birth(nr, ret) && wanted();
	was = place->nr & ~CALL_LATE;
	call->late = place->nr & CALL_LATE;
	place->began = 0;
	if ((began & CALL_TIME) == CALL_REFUSED) {
		count_filtered();
		return false;
	}
	if (nr == -1)
		call->nr = was; /* rt_sigreturn */
	if (call->nr == was)
		call->took_ns = call_clock() - (began & CALL_TIME);
	return true;
}
