/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the kernel side and the user side agree on by layout: the header before every record,
 * texts inside a record, and the counters of a probe. Everything else is told by BTF.
 */
#pragma once

#include <linux/types.h>

/*
 * Stands before each event in a ring (or perf array) and before each row of an iterator.
 * `type` is the BTF id of the event's struct in its own object: meaningless elsewhere, never stored.
 */
struct record {
	__u32 type;
	__u32 size; /* bytes of the event: the struct and the texts behind it, without this header */
	__u64 seq;  /* counts up per CPU with every record sent or lost to a full ring */
	__u64 at_ns; /* CLOCK_BOOTTIME */
	__u32 cpu;
	__u32 pad;
};

/*
 * A text of variable length: lies behind the struct, `at` bytes from the event's first byte,
 * `size` bytes without its terminating NUL. TEXT_CUT in `size`: the original was longer.
 */
struct text {
	__u32 at;
	__u32 size;
};
#define TEXT_CUT 0x80000000u

/*
 * A stack: addresses, innermost first, 8 bytes each, `at` bytes from the event's first byte; `size`
 * bytes, with STACK_CUT when it goes on. `pid` is the process whose addresses they are; 0: the
 * kernel's. Probes keep those that are labels by content; struct stack_id says which.
 */
struct stack {
	__u32 at;
	__u32 size;
	__u32 pid;
	__u32 pad;
};
#define STACK_CUT    0x80000000u
#define STACK_FRAMES 127 /* of one stack at most: what kernels give unless told otherwise */

/* A stack as a label: a number made of its content. 0: none. */
struct stack_id {
	__u64 id;
};
#define STACK_LOST (~0ull) /* there was no room to keep it: counted as overflow */

/* What a struct stack_id stands for: an element of the map "sonda_stacks". */
struct stack_kept {
	__u32 pid;
	__u32 size;  /* bytes, STACK_CUT */
	__u64 at_ns; /* CLOCK_BOOTTIME, when it was first seen */
	__u64 frames[STACK_FRAMES];
};

/* An address. IPv4 is in the first four bytes; `family` is AF_INET, AF_INET6, or 0 for none. */
struct ip {
	__u8 bytes[16];
	__u16 family;
	__u16 pad[3];
};

/* Why an event that happened was not delivered. */
enum loss {
	LOSS_RING, /* the ring was full */
	LOSS_STATE, /* a state table was full, so the end of the operation could not be joined to its start */
	LOSS_BUSY, /* no scratch slot was free to build the event in */
	LOSS_ROOM, /* the event did not fit in a record */
	LOSS_COUNT,
};

/*
 * The counters of a probe, one set per CPU (map "sonda_stats", one element).
 * Exact: seen = sent + filtered + sum(lost).
 */
struct stats {
	__u64 seen;
	__u64 sent;
	__u64 filtered;
	__u64 lost[LOSS_COUNT];
	__u64 seq;        /* last sequence number given */
	__u64 cut;        /* texts that were longer than their field may be */
	__u64 unresolved; /* what could not be read (unmapped user memory, a path too deep) */
	__u64 overflow;   /* metric updates that went to the shared "other" row */
};
