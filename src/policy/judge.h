/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What a policy says of one operation, worked out here from its text: for what has been
 * recorded, for what has not happened yet. In force, it is the guard that decides, files by inode. One thread.
 */
#include <stdbool.h>

#include "abi/policy_subject.h"
#include "base/attr.h"
#include "policy/policy.h"

struct accounts;
struct err;
struct lookup;
struct strlist;

struct policy_question {
	enum policy_domain domain;
	unsigned operations; /* bits, of the domain: all of them are done; of packets none */
	unsigned maybe;      /* these perhaps too */
	bool one_of_maybe;   /* certainly one of them */
	/* What it is done to, as what a rule may name it: a path (absolute, without symbolic links), a user, a
	 * cgroup, a capability. NULL: not known. */
	const char *of[POLICY_OBJECTS];
	/* Rules, by their bits, that the file is of whatever it is called now; NULL: only its names count. Borrowed. */
	const struct rule_set *held;
	/* Sockets and packets: addresses with all their bits. Family 0: of sockets none, or all. */
	struct policy_network from, to;
	uint16_t source_port, port; /* 0: not known; of sockets: any */
	uint8_t protocol;           /* IPPROTO_TCP ... */
	bool icmp_type_known;
	uint8_t icmp_type; /* or of ICMPv6 */
	/* packets */
	bool syn, fragment, malformed;
	bool out;              /* it leaves this machine */
	unsigned hooks;        /* of netfilter, bits by number: it comes by all of them */
	unsigned maybe_hooks;  /* perhaps by these */
	const char *interface; /* that it comes in by, or leaves by; NULL: not known */
	const char *exe;       /* the program that asks, like a path; NULL: not known */
	/* The one other program of its line; NULL: the line isn't known, or only those of `line` are. */
	const char *ancestor;
	const struct strlist *line; /* borrowed; NULL: none */
	bool terminal_known, terminal;
	bool any_object;           /* to whatever: only who asks is looked at */
	const char *user;          /* it runs as, a name or a number; NULL: not known */
	struct accounts *accounts; /* borrowed, for names of users */
	struct lookup *files; /* borrowed: paths are what they lead to now; NULL: their letters */
	const char *cgroup;   /* "/system.slice/x.service"; NULL: not known */
};

enum policy_answer {
	ANSWER_NO,      /* the rule is not about it */
	ANSWER_YES,     /* it is */
	ANSWER_UNKNOWN, /* a condition is about what is not known */
};

struct policy_judged {
	enum policy_answer answer;
	const char
		*lacks; /* what is not known that it hangs on: "terminal", "exe"; NULL: nothing */
};

/* Is the rule about it? Errors: of reading a set's list. */
MUST_USE int policy_judge(const struct policy *p, const struct policy_rule *r,
			  const struct policy_question *q, struct policy_judged *ret,
			  struct err *e);

/* Calls `fn` for each rule about packets that the packet meets, in their order at each place, up to the one that
 * decides. What comes after a rule that perhaps decides meets it perhaps; `lacks`: so do all, and why. */
typedef void policy_met_fn(const struct policy_rule *r, const struct policy_judged *judged,
			   void *ctx);
MUST_USE int policy_judge_packet(const struct policy *p, const struct policy_question *q,
				 const char *lacks, policy_met_fn *fn, void *ctx, struct err *e);

/* Inside src/policy: the same of its addresses, ports, protocol and place alone. */
MUST_USE int judge_packet(const struct policy *p, const struct policy_rule *r,
			  const struct policy_question *q, struct policy_judged *ret,
			  struct err *e);
