/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the user side writes into a probe before it is loaded: filters, conditions, switches.
 * It lies in .rodata, so the verifier sees constants, and what is unset is removed as dead code.
 */
#pragma once

#include <linux/types.h>

/* The sets a common filter may hold; also the `kind` of keys in the map "sonda_sets". */
enum filter_set {
	SET_PID,  /* a: thread-group id */
	SET_TID,  /* a: thread id */
	SET_UID,  /* a: user id */
	SET_COMM, /* a, b: the 16 bytes of the command name */
	SET_EXE,  /* a: inode number, b: device (kernel's MAJOR << 20 | MINOR) of the executable */
	SET_CGROUP, /* a: cgroup v2 id; its descendants match too */
	SET_TREE,   /* a: thread-group id; kept true by the tracker at fork and exit */
	SET_COUNT,
};

struct set_key {
	__u32 kind; /* enum filter_set */
	__u32 pad;
	__u64 a;
	__u64 b;
};

/* One condition on a field of an event: evaluated before the record leaves the kernel. All must hold,
 * of those joined by or_next one. */
enum cond_op { COND_NONE, COND_EQ, COND_LT, COND_GT, COND_ANY_BIT };

struct cond {
	__u32 type; /* BTF id of the event it is about; events of other types pass */
	__u16 offset;
	__u8 size; /* 1, 2, 4 or 8 bytes, naturally aligned */
	__u8 op;   /* enum cond_op */
	__u8 negated;
	__u8 is_signed;
	__u8 or_next; /* or the next one holds, which is about the same event */
	__u8 pad[5];
	__u64 value;
};
#define COND_MAX 8

/* What a program with EACH goes to, in the variable "sonda_target_names". */
#define TARGETS_MAX 16
#define TARGET_NAME 48 /* bytes, with a NUL */

/* The variable "sonda_conf" of every probe. */
struct conf {
	__u32 self;         /* thread-group id of sonda, whose own events are left out; 0: none */
	__u32 sets_on;      /* bits of enum filter_set: filters in use */
	__u32 sets_negated; /* bits of enum filter_set: the set says what is not wanted */
	__u8 errors_only;
	__u8 events_off;  /* no stream wanted: metric tables only */
	__u8 tables_off;  /* no metric tables wanted: stream only */
	__u8 perf_array;  /* the kernel has no ring buffer */
	__u64 min_ns;     /* only operations that took at least this long */
	__u64 wake_bytes; /* unread bytes in the ring at which the reader is woken */
	__u32 slots;      /* scratch slots in "sonda_slots"; a power of two */
	__u32 cpus;       /* CPUs that are online */
	struct cond where[COND_MAX];
};
