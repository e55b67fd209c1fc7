/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What guards of operations and the user side share. A verdict is an AND of sets of rules, one bit each:
 * those about the object, about the operation, and those whose conditions the subject fulfils. So it
 * takes as long for one rule as for 256.
 *
 * Files, programs among them, are known by inode and by their place, which is the directory's inode and
 * the name. The guard of files learns the inode that comes to a place, so either stays true when the
 * other changes.
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
	FILE_IS_SONDA = 1 << 1, /* may always be read and run, and run by root is refused nothing */
	FILE_IS_TARGET = 1 << 2,   /* `self` is of processes that run it */
	FILE_IS_TRIAL = 1 << 3,    /* sonda's own: refused, no rule being about it */
	FILE_IS_ANCESTOR = 1 << 4, /* `line` holds */
};

/* By its first eight bytes (a shorter one's rest is 0) and its length. */
#define FILE_NAME_BIT(first, len) \
	(1ull << ((((__u64)(first) + (__u64)(len)) * 0x9e3779b97f4a7c15ull) >> 58))

/* Values of both. */
struct file_object {
	struct rule_set self;    /* rules about it */
	struct rule_set under;   /* rules about it and all that is below it */
	struct rule_set subject; /* as a program: rules whose conditions `exe` it fulfils */
	__u64 name_bits; /* as a directory: FILE_NAME_BIT of the names that have a place in it */
	__u32 flags;     /* enum file_object_flag */
	__u32 pad;
	__u64 line; /* as a program: its bit of abi/policy_ancestry.h */
};

/* What is asked about the subject, and about the process or the like that something is to be done to;
 * "subjects" has those that are mentioned. */
enum subject_kind {
	SUBJECT_EXE, /* as a file_object: `subject` */
	SUBJECT_USER,
	SUBJECT_CGROUP,
	SUBJECT_ANCESTOR, /* by abi/policy_ancestry.h */
	SUBJECT_TERMINAL, /* 1: it has a controlling terminal */
	TARGET_EXE,       /* as a file_object: `self` */
	TARGET_USER,
	TARGET_CGROUP,
	TARGET_TO, /* the user id it changes to */
	TARGET_CAPABILITY,
	SUBJECT_KINDS,
};

struct subject_key {
	__u64 value; /* user id; cgroup v2 id, also of what is below it; capability */
	__u32 kind;
	__u32 gen;
};

/* "traffic_senders": an array of two, by generation: who sends a packet, of the guard of traffic. */
struct traffic_senders {
	struct rule_set others[SUBJECT_KINDS]; /* fulfilled by what isn't mentioned */
	__u64 asked_user, asked_cgroup;        /* of the packet that is asked about; ~0: nobody's */
	__u32 asks;                            /* as below */
	__u32 pad;
};

/* Of one generation. */
struct subject_rules {
	struct rule_set others[SUBJECT_KINDS]; /* fulfilled by what isn't mentioned */
	struct rule_set refusing;              /* deny, in mode enforce */
	struct rule_set alerting;              /* alert */
	__u32 asks; /* bits 1 << enum subject_kind: are there conditions of that kind? */
	__u32 pad;
};
