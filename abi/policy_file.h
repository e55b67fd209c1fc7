/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What the guard of files and the user side share, beyond abi/policy_subject.h. */
#pragma once

#include <linux/types.h>

#include "abi/policy_subject.h"

#define FILE_OPERATIONS 9 /* enum policy_operation: bits 0 to 8 */

/* "file_rules": an array of two, generation by generation. */
struct file_rules {
	struct rule_set by_operation[FILE_OPERATIONS];
	struct rule_set under; /* about directories and what is below them */
	struct subject_rules subjects;
	struct rule_set detecting; /* of those that alert: they deny, but may only be told */
};

/*
 * "file_trial": an array of one u32. Not 0: while no generation is in force, that one less 1 decides, for
 * the trial of what the kernel obeys.
 */

enum file_rung {
	FILE_RUNG_NONE,
	FILE_RUNG_LSM,
	FILE_RUNG_FMOD_RET,
	FILE_RUNG_AFTER, /* nothing is refused: seen when it has been done */
};

enum { FILE_PROOF_NO_CALLER = 1 }; /* a program that is run is judged as its own subject */

/* "file_proof": an array of one: what was found out when the programs were loaded. */
struct file_proof {
	__u64 slots;  /* that were asked for; the user side's bits */
	__u32 rung;   /* enum file_rung */
	__u32 denied; /* bits of enum policy_operation that were refused, or killed for */
	__u32 flags;
	__u32 pad;
};

/*
 * "file_filter": an array of two. What isn't seen there has no entry in "file_objects" or "file_names": so
 * that a walk up to the root looks nothing up. Bytes, because the guard sets them without a lock.
 */
#define FILE_FILTER_BITS 16
#define FILE_SECRETS     3
struct file_filter {
	struct rule_set none; /* empty: what the verifier takes for any set, and so looks at once */
	__u64 epoch; /* another whenever it is filled; one more when the guard learns an inode or sees a
				* directory or a link made */
	__u64 secrets[FILE_SECRETS];
	__u32 any;                        /* are there rules about files? */
	__u32 under;                      /* about directories and what is below them? */
	__u8 seen[1 << FILE_FILTER_BITS]; /* enum file_seen */
};
enum file_seen { FILE_SEEN = 1, FILE_SEEN_PLACE = 2 };
#define FILE_FILTER_AT(inode) (((__u64)(inode)*0x9e3779b97f4a7c15ull) >> (64 - FILE_FILTER_BITS))
/* Of a place: the name's first eight bytes and its length, as in FILE_NAME_BIT. */
#define FILE_FILTER_PLACE_AT(dir, first, len) \
	FILE_FILTER_AT((__u64)(dir) + ((__u64)(first) + (__u64)(len)) * 0xd6e8feb86659fd93ull)
