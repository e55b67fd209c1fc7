/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the guard of files and the user side share. A verdict is an AND of sets of rules, one bit each:
 * those about the object, about the operation, and those whose conditions the subject fulfils. So it
 * takes as long for one rule as for 256.
 *
 * Files are known by inode and by their place, which is the directory's inode and the name: the guard
 * learns the inode that comes to a place, so either stays true when the other changes.
 */
#pragma once

#include <linux/types.h>

#include "abi/policy.h"

#define RULE_WORDS (POLICY_RULES / 64)

/* Bit n: rule n. */
struct rule_set {
	__u64 words[RULE_WORDS];
};

struct file_id {
	__u64 inode;
	__u32 device;  /* kernel's MAJOR << 20 | MINOR of the super block */
	__u32 version; /* i_generation: who gets the number of a file that is gone has another */
};

/* Keys of "file_objects". */
struct file_key {
	struct file_id id;
	__u32 gen;
	__u32 pad;
};

#define FILE_NAME_KEY 104 /* bytes of a longer name that count, and its length */

/* Keys of "file_names". */
struct file_place {
	struct file_id dir;
	__u32 gen;
	__u32 len;
	char name[FILE_NAME_KEY];
};

enum file_object_flag {
	FILE_IS_SUBJECT = 1 << 0, /* `subject` holds */
	FILE_IS_SONDA = 1 << 1,   /* may always be read and run, and run by root is refused nothing */
};

/* Values of both. */
struct file_object {
	struct rule_set self;    /* rules about it */
	struct rule_set under;   /* rules about it and all that is below it */
	struct rule_set subject; /* as a program: rules whose conditions `exe` it fulfils */
	__u64 name_lengths;      /* as a directory: bit (length % 64) of the names that have a place in it */
	__u32 flags;             /* enum file_object_flag */
	__u32 pad;
};

/* What else is asked about the subject; "file_subjects" has those that are mentioned. */
enum subject_kind { SUBJECT_EXE, SUBJECT_USER, SUBJECT_CGROUP, SUBJECT_KINDS };

struct subject_key {
	__u64 value; /* user id; cgroup v2 id, also of what is below it */
	__u32 kind;
	__u32 gen;
};

#define FILE_OPERATIONS 9 /* enum policy_operation: bits 0 to 8 */

/* "file_rules": an array of two, generation by generation. */
struct file_rules {
	struct rule_set by_operation[FILE_OPERATIONS];
	struct rule_set others[SUBJECT_KINDS]; /* fulfilled by what isn't mentioned */
	struct rule_set refusing; /* deny, in mode enforce */
	struct rule_set alerting; /* alert */
	struct rule_set under;    /* about directories and what is below them */
	__u32 asks;               /* bits 1 << enum subject_kind: are there conditions of that kind? */
	__u32 pad;
};

/*
 * "file_filter": an array of two. What has no byte set has no entry in "file_objects": so that a walk
 * up to the root looks nothing up. Bytes, because the guard sets them without a lock.
 */
#define FILE_FILTER_BITS 16
struct file_filter {
	struct rule_set none; /* empty: what the verifier takes for any set, and so looks at once */
	__u32 any;   /* are there rules about files? */
	__u32 under; /* about directories and what is below them? */
	__u8 seen[1 << FILE_FILTER_BITS];
};
#define FILE_FILTER_AT(inode, device) \
	((((__u64)(inode) + ((__u64)(device) << 32)) * 0x9e3779b97f4a7c15ull) >> \
	 (64 - FILE_FILTER_BITS))
