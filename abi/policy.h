/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What guards and the user side share of a policy in force: which of two generations decides, its rules,
 * their counts. All guards share these maps, so that they switch at the same moment.
 *
 * The user side fills the generation that is not in force, then writes the one word of "policy_state".
 */
#pragma once

#include <linux/types.h>

#define POLICY_RULES    256 /* of one policy at most; a rule has the same number in every guard */
#define POLICY_SLOTS    512 /* of counts: rules of the policy in force and of the one before it */
#define POLICY_NAME     48  /* bytes of a rule's name, with a NUL */
#define POLICY_NOBODY   2   /* no generation is in force */
#define POLICY_TEXT_MAX (64 << 10)

/* Of what pinned maps hold, and how guards read it; raised whenever that changes. A sonda of another number
 * loads its guards beside those in force and takes over when they are. What never changes, for it reads that: the
 * first word of "policy_state", and "policy_text". */
#define POLICY_ABI 7

/*
 * "policy_state": an array of two u64, the second is POLICY_ABI. The first:
 *	bit 0		the generation in force
 *	bit 1, 2	generation 0, 1 holds a policy
 *	bit 3		the generation that is not in force lies beside it: it is judged as well, only
 *			counted and told. Not while one is to be confirmed
 *	from bit 8 on	until when (ms of CLOCK_BOOTTIME) it must be confirmed; past it the other
 *			generation is in force. 0: it is confirmed
 */
#define POLICY_ACTIVE(word)   ((word)&1)
#define POLICY_HOLDS(gen)     (2ull << (gen))
#define POLICY_BESIDE         8ull
#define POLICY_DEADLINE(word) ((word) >> 8)

enum policy_mode {
	POLICY_AUDIT, /* counted and told, not refused */
	POLICY_ENFORCE,
};

enum policy_alert_per { POLICY_ALERT_ALL, POLICY_ALERT_EXE, POLICY_ALERT_USER };

/* "policy_rules": an array of 2 * POLICY_RULES, generation by generation. */
struct policy_rule_row {
	char name[POLICY_NAME];
	__u32 slot;         /* its place in "policy_counts"; stays when the policy is changed */
	__u32 mode;         /* enum policy_mode */
	__u64 expires_ns;   /* CLOCK_BOOTTIME; later it matches nothing; 0: never */
	__u32 trip_per_min; /* more refusals in a minute turn it to audit; 0: never */
	__u32 stamp;        /* of its slot: another rule's leavings have another */
	__u64 alert_window_ns;
	__u32 alert_most; /* alerts told in a window, which one that is told begins; 0: all */
	__u32 alert_per;  /* enum policy_alert_per */
};

/* "policy_counts": a per-CPU array of POLICY_SLOTS. */
struct policy_count {
	__u64 matched; /* operations or packets that the rule is about */
	__u64 refused; /* of them denied, dropped */
	__u64 would; /* of them let through though the rule refuses: it is in mode audit, has tripped, or
			   is of the policy that lies beside the one in force */
	__u64 suppressed; /* alerts that were not told because there were too many */
	__u64 bytes;      /* of packets matched */
	__u64 untold;     /* of them not told, because the ring was full */
};

/* Keys of "policy_alerts", a hash in each guard of operations. When it is full, those that find no room share
 * the one whose `who` and `device` are 0. */
struct policy_alert_key {
	__u32 slot;
	__u32 stamp;
	__u64 who;    /* inode of the program, or user id */
	__u32 device; /* of the program's file */
	__u32 pad;
};

/* "policy_trips": an array of POLICY_SLOTS. */
struct policy_trip {
	__u64 since_ns; /* CLOCK_BOOTTIME: beginning of the minute that is counted */
	__u32 refused;  /* in it */
	__u32 tripped;  /* 1: it was too much: the rule only counts from then on */
};

/* "policy_text": an array of two, the source of each generation. */
struct policy_text {
	__u32 size;
	__u32 pad;
	__u64 applied_ns; /* CLOCK_REALTIME */
	char text[POLICY_TEXT_MAX];
};

/* "policy_lists": an array of 2 * POLICY_RULES: what each rule's lists (`lines of PATH`) were when it was applied. */
struct policy_lists {
	__u64 count; /* of values */
	__u64 hash;  /* of them; 0: the rule names no list */
};

/* "policy_strength": an array of 2 * POLICY_RULES: how each rule is enforced, in words. */
#define POLICY_STRENGTH 160 /* bytes, with a NUL */
