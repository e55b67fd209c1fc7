/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What a policy says of one operation, worked out here from its text: for what has been
 * recorded, for what has not happened yet. In force, it is the guard that decides, files by inode. One thread.
 */
#include <stdbool.h>

#include "base/attr.h"
#include "policy/policy.h"

struct accounts;
struct err;

struct policy_question {
	enum policy_domain domain;
	unsigned operations; /* bits, of the domain: any of them */
	enum policy_object
		object;   /* what `path` is, of operations on the kernel; OBJECT_NONE: not known */
	const char *path; /* absolute, without symbolic links; a user, a capability */
	struct policy_network
		address;           /* sockets: with all its bits; family 0: it has none, or all */
	uint16_t port;             /* 0: not known */
	uint8_t protocol;          /* IPPROTO_TCP ... */
	const char *exe;           /* the program that asks, like `path`; NULL: not known */
	const char *user;          /* it runs as, a name or a number; NULL: not known */
	struct accounts *accounts; /* borrowed, for names of users */
	const char *cgroup;        /* "/system.slice/x.service"; NULL: not known */
};

enum policy_answer {
	ANSWER_NO,      /* the rule is not about it */
	ANSWER_YES,     /* it is */
	ANSWER_UNKNOWN, /* a condition is about what is not known */
};

/* Is the rule about it? Errors: of reading a set's list. */
MUST_USE int policy_judge(const struct policy *p, const struct policy_rule *r,
			  const struct policy_question *q, enum policy_answer *ret_answer,
			  struct err *e);
