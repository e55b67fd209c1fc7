/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A policy as it is written: sets and rules, checked for their form, every part with its place in the
 * source. Names of files, users, networks stand as text: what they lead to is found when the policy
 * is applied. The words of the language are rows of words.c; docs/policies.md says what they mean.
 *
 *	rule shadow "only login tools read the hashes"
 *	    deny read, write of file /etc/shadow
 *	    unless exe in @login-tools
 *
 * One thread. A policy owns everything in it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "base/vec.h"

struct err;
struct strbuf;

struct policy_at {
	unsigned line, column; /* from 1 on */
};

/* ---- the words ---- */

/* What a rule is about: a guard takes the rules of one domain. */
enum policy_domain {
	POLICY_FILE,
	POLICY_PACKET,  /* that come in, at XDP */
	POLICY_TRAFFIC, /* packets that leave; and what does more than let pass or drop: at TC */
	POLICY_FILTER,  /* packets at a hook of netfilter */
	POLICY_KERNEL,  /* its own surface: signals, tracing, mounts ... */
	POLICY_SOCKET,
	POLICY_DOMAINS
};
#define POLICY_ABOUT(domain) (1u << (domain)) /* in sets of domains */

enum policy_verdict {
	POLICY_DENY,     /* operations */
	POLICY_ALERT,    /* operations: let through and told */
	POLICY_DROP,     /* packets */
	POLICY_PASS,     /* packets: "allow": no later rule is asked */
	POLICY_LIMIT,    /* packets: no more than a rate */
	POLICY_WATCH,    /* packets: counted and told; the next rule is asked */
	POLICY_MARK,     /* traffic: DSCP and the like; the next rule is asked */
	POLICY_MIRROR,   /* traffic: a copy goes elsewhere; the next rule is asked */
	POLICY_REDIRECT, /* traffic: it goes elsewhere; no later rule is asked */
	POLICY_ANSWER,   /* TCP SYNs: answered with SYN cookies where the driver hands them over */
};

/* Operations as bits, which each domain has its own of. On files: */
enum policy_operation {
	POLICY_READ = 1 << 0,
	POLICY_WRITE = 1 << 1,
	POLICY_EXEC = 1 << 2,
	POLICY_CREATE = 1 << 3,
	POLICY_UNLINK = 1 << 4,
	POLICY_RENAME = 1 << 5,
	POLICY_LINK = 1 << 6,
	POLICY_TRUNCATE = 1 << 7,
	POLICY_CHANGE = 1 << 8, /* mode, owner, times, extended attributes */
};

/* On the kernel's own surface. */
enum policy_kernel_operation {
	POLICY_KILL = 1 << 0,
	POLICY_PTRACE = 1 << 1,
	POLICY_INSPECT = 1 << 2, /* what /proc tells only to who might trace */
	POLICY_MOUNT = 1 << 3,
	POLICY_UMOUNT = 1 << 4,
	POLICY_LOAD_MODULE = 1 << 5,
	POLICY_REQUEST_MODULE = 1 << 6, /* the kernel loads one for who needs it */
	POLICY_BPF = 1 << 7,
	POLICY_SETUID = 1 << 8,
	POLICY_USER_NAMESPACE = 1 << 9,
	POLICY_USE = 1 << 10, /* of a capability */
};

/* On sockets. */
enum policy_socket_operation {
	POLICY_CONNECT = 1 << 0,
	POLICY_SEND = 1 << 1,
	POLICY_BIND = 1 << 2,
	POLICY_LISTEN = 1 << 3,
	/* to make sockets of these sorts; those before have addresses */
	POLICY_RAW_SOCKET = 1 << 4,
	POLICY_PACKET_SOCKET = 1 << 5,
	POLICY_XDP_SOCKET = 1 << 6,
	POLICY_ALG_SOCKET = 1 << 7,
	POLICY_VSOCK_SOCKET = 1 << 8,
	POLICY_NETLINK_SOCKET = 1 << 9,
	POLICY_BLUETOOTH_SOCKET = 1 << 10,
	POLICY_CAN_SOCKET = 1 << 11,
	POLICY_TIPC_SOCKET = 1 << 12,
	POLICY_RDS_SOCKET = 1 << 13,
};
#define POLICY_ADDRESSED (POLICY_CONNECT | POLICY_SEND | POLICY_BIND | POLICY_LISTEN)

/* The forms a value can have. */
enum policy_form {
	FORM_NONE,    /* the word stands alone */
	FORM_PATH,    /* absolute */
	FORM_USER,    /* a name or a number */
	FORM_CGROUP,  /* below the root of cgroup v2: "/system.slice/x.service"; or a unit's name */
	FORM_NETWORK, /* an address or CIDR, IPv4 or IPv6 */
	FORM_PORT,    /* 1 to 65535, or a range "8000-8080" */
	FORM_INTERFACE, /* a network interface */
	FORM_PROTOCOL,  /* of IP: "gre", or its number */
	FORM_ICMP_TYPE, /* "echo-request", or a number */
	FORM_DATE, /* "2027-01-31", "2027-01-31T12:00" (local time), or "1h" from when it is applied */
	FORM_RATE,       /* "100/min" */
	FORM_PER,        /* exe, user */
	FORM_MODE,       /* audit, enforce */
	FORM_DSCP,       /* "ef", or 0 to 63 */
	FORM_NUMBER,     /* of 32 bits, decimal or 0x... */
	FORM_CLASS,      /* of a queue: "1:10", hexadecimal as tc(8) writes it */
	FORM_HOOK,       /* "prerouting" ... */
	FORM_PRIORITY,   /* of netfilter: "-150" */
	FORM_CAPABILITY, /* net_raw, CAP_NET_RAW */
	FORM_ACCEPT,     /* kill, detect */
};

enum policy_word {
	/* the subject: of rules about operations */
	WORD_EXE,
	WORD_USER,
	WORD_CGROUP,
	WORD_ANCESTOR, /* it runs the program, ran it, or descends from who did */
	WORD_TERMINAL, /* it has a controlling terminal */
	/* packets */
	WORD_FROM,
	WORD_TO,
	WORD_PORT, /* destination */
	WORD_SOURCE_PORT,
	WORD_ON, /* interface */
	WORD_TCP,
	WORD_UDP,
	WORD_ICMP, /* of the packet's own family */
	WORD_PROTOCOL,
	WORD_ICMP_TYPE,
	WORD_SYN,       /* TCP: opens a connection (SYN without ACK) */
	WORD_FRAGMENT,  /* any fragment, also the first */
	WORD_MALFORMED, /* headers cut off or that contradict each other */
	/* traffic */
	WORD_OUT,
	WORD_AS,     /* of mark: DSCP */
	WORD_FWMARK, /* of mark: skb->mark */
	WORD_CLASS,  /* of mark: skb->priority */
	WORD_TARGET, /* of mirror and redirect: "to eth1" */
	/* packets at a hook of netfilter */
	WORD_AT,
	WORD_PRIORITY,
	/* of every rule */
	WORD_MODE,
	WORD_EXPIRES,
	WORD_TRIP, /* "trip at RATE": more refusals than that turn the rule to audit */
	/* of alerts */
	WORD_AT_MOST, /* "at most RATE": so many are told */
	WORD_PER,     /* of each program or user */
	/* of what is denied */
	WORD_ACCEPT, /* what may take its place on a kernel that can't */
};

/* A row of the clauses' table. */
struct policy_word_row {
	enum policy_word word;
	const char *name; /* "source-port" */
	unsigned domains; /* POLICY_ABOUT() */
	enum policy_form form;
	bool conditional; /* stands behind `when` or `unless` */
	bool single;      /* one value, not a list */
	const char *help;
};

/* What an object is, seen from the kernel. */
enum policy_object {
	OBJECT_NONE,
	OBJECT_FILE,
	OBJECT_EXE, /* a process, by its program, its user, its cgroup */
	OBJECT_USER,
	OBJECT_CGROUP,
	OBJECT_TO, /* the user that it becomes */
	OBJECT_CAPABILITY,
	POLICY_OBJECTS
};

/* A row of what operations may be "of" or go "to": "of file /etc/shadow". */
struct policy_object_row {
	enum policy_object object;
	const char *before;  /* "of", "to" */
	const char *name;    /* "": values follow at once */
	unsigned domains;    /* POLICY_ABOUT() */
	unsigned operations; /* that may have it */
	unsigned needed;     /* that must */
	enum policy_form form;
	bool under; /* may be "under" it */
	const char *help;
};

/* ---- the tree ---- */

struct policy_value {
	char *text;  /* without quotes; of a set its name */
	bool is_set; /* "@name" */
	struct policy_at at;
};
typedef vec(struct policy_value) policy_values;

struct policy_set {
	char *name;
	char *list; /* "lines of PATH": the values are read from this file when applied; NULL: none */
	bool shipped; /* it isn't in the source, sonda has it */
	struct policy_at list_at;
	policy_values values;
	enum policy_form form; /* as it is used; FORM_NONE: by no rule */
	struct policy_at at;
};

struct policy_clause {
	const struct policy_word_row *word;
	bool unless; /* must not hold */
	policy_values values;
	struct policy_at at;
};

enum policy_per {
	PER_ALL,
	PER_SOURCE,
	PER_NETWORK, /* of the source: IPv4 /24, IPv6 /48 */
	PER_DESTINATION,
	PER_PORT, /* destination port, of each protocol */
	PER_COUNT
};

/* "limit packet ... to 1000/s burst 200 per source then drop for 10m";
 * "watch packet ... above 1000/s for 3s per source then drop for 10m"; "answer ... above 1000/s" */
struct policy_limit {
	bool bytes;        /* not packets */
	uint64_t per_hour; /* 0: none is said */
	uint64_t burst;    /* 0: what comes in a second, at least 1 */
	uint64_t for_ns;   /* burst as what comes in this time; 0: not said so */
	enum policy_per per;
	uint64_t
		drop_ns; /* what then drops everything of that source for; 0: only what is too much */
};

/* Of a rule at a hook of netfilter that says none: before tables of nftables that filter. */
#define POLICY_PRIORITY (-10)

struct policy_rule {
	char *name;
	char *note; /* or NULL */
	enum policy_domain domain;
	enum policy_verdict verdict;
	unsigned operations;                    /* bits, the domain's */
	const struct policy_object_row *object; /* what `objects` are; NULL: there are none */
	bool under; /* "file under": directories, and all that is below them */
	policy_values objects;
	struct policy_limit limit;
	bool cookies; /* "with cookies", of answer */
	vec(struct policy_clause) clauses;
	struct policy_at at, verdict_at, object_at;
};

struct policy_comment {
	char *text; /* "# ..." */
	bool alone; /* in its line */
	unsigned line;
};

struct policy {
	char *name; /* of its file, for messages */
	vec(struct policy_comment) comments;
	vec(struct policy_set) sets;
	vec(struct policy_rule) rules;
};

/* Reads `text` (borrowed). `name` is for messages: "NAME: line 3, column 9: ...".
 * Errors: EINVAL with EXIT_POLICY: what stands there, what was expected, a suggestion. */
MUST_USE int policy_parse(const char *name, const char *text, struct policy **ret_policy,
			  struct err *e);
/* The same from a file. Errors also: of open and read, EFBIG (over POLICY_TEXT_MAX). */
MUST_USE int policy_read(const char *path, struct policy **ret_policy, char **ret_text,
			 struct err *e);
void policy_free(struct policy *p);
AUTO_PTR(policy)

/* The clause of a rule, NULL: it has none. `nth` counts those of the same word, from 0 on. */
MUST_USE const struct policy_clause *policy_clause_find(const struct policy_rule *r,
							enum policy_word word, unsigned nth);
MUST_USE const struct policy_set *policy_set_find(const struct policy *p, const char *name);

/* The rule's own mode, and that of a policy without one: enforce. */
MUST_USE bool policy_rule_audits(const struct policy_rule *r);

/* Of a rule at a hook of netfilter: as it says, else POLICY_PRIORITY. */
MUST_USE int policy_rule_priority(const struct policy_rule *r);

/* What `accept` says, as bits: what may take the place of a verdict that this kernel can't have obeyed.
 * 0: nothing may. */
enum policy_accept { ACCEPT_KILL = 1 << 0, ACCEPT_DETECT = 1 << 1 };
MUST_USE unsigned policy_rule_accepts(const struct policy_rule *r);

/* Would it lock out whoever applies it: init, logging in, installing packages, sonda itself? Looks at the
 * files of this machine. Errors: EPERM with EXIT_POLICY: which rule, who must get at what. */
MUST_USE int policy_lint(const struct policy *p, struct err *e);

/* Would it keep everybody whom this machine knows to be logged in by ssh from opening another connection to it; if
 * that is nobody, everybody? Of rules about packets: connections that are open stay so. A machine where no sshd
 * listens has nobody to lose. Errors: EPERM with EXIT_POLICY: which rule, who. */
MUST_USE int policy_lint_logins(const struct policy *p, struct err *e);

/* What is surely not meant so, a line each: patterns in paths, files that aren't there, rules that nothing can
 * match. */
void policy_cautions(const struct policy *p, struct strbuf *out);

/* Calls `fn` for each value, sets resolved, also those that are read from files (blank lines and what
 * follows '#' left out). Non-zero ends it and is returned. `at` is where the rule or set has it, or the
 * line of the list (column 0). Errors: of reading the list. */
typedef int policy_value_fn(const char *text, struct policy_at at, void *ctx, struct err *e);
MUST_USE int policy_each(const struct policy *p, const policy_values *values, policy_value_fn *fn,
			 void *ctx, struct err *e);

/* Puts "NAME: line L, column C: " in front of an error; nothing where the place is one in a list, which policy_each()
 * says. Returns -e->code. */
int policy_wrap(const struct policy *p, struct policy_at at, struct err *e);

/* ---- values ---- */

struct policy_network {
	uint8_t bytes[16]; /* IPv4: the first four */
	uint8_t family;    /* AF_INET, AF_INET6; an IPv4 address in IPv6 (::ffff:0:0/96) is IPv4 */
	uint8_t bits;      /* of the prefix; those behind it are zero */
};
/* Errors: EINVAL (what was expected). Bits set behind the prefix are refused: 10.0.0.1/8 is a slip. */
MUST_USE int policy_network_parse(const char *text, struct policy_network *ret_network,
				  struct err *e);
/* "net_raw", "CAP_NET_RAW": its number. */
MUST_USE int policy_capability_parse(const char *text, uint32_t *ret_number, struct err *e);
/* "80", "8000-8080". */
MUST_USE int policy_ports_parse(const char *text, uint16_t *ret_first, uint16_t *ret_last,
				struct err *e);
/* Of IP; not one that only stands before another (headers of IPv6). */
MUST_USE int policy_protocol_parse(const char *text, uint8_t *ret_protocol, struct err *e);
/* Of ICMP and of ICMPv6, which number them differently; -1: it has none such. A number is meant of both. */
MUST_USE int policy_icmp_type_parse(const char *text, int *ret_type, int *ret_type6, struct err *e);
/* NULL: it has no name. */
const char *policy_protocol_name(uint8_t protocol);
MUST_USE int policy_dscp_parse(const char *text, uint8_t *ret_dscp, struct err *e);
MUST_USE int policy_number_parse(const char *text, uint32_t *ret_number, struct err *e);
MUST_USE int policy_class_parse(const char *text, uint32_t *ret_class, struct err *e);
/* The number that netfilter has for it: "prerouting" is 0. */
MUST_USE int policy_hook_parse(const char *text, unsigned *ret_hook, struct err *e);
MUST_USE int policy_priority_parse(const char *text, int *ret_priority, struct err *e);
/* Seconds of CLOCK_REALTIME; "1h" counts from `now_s`. */
MUST_USE int policy_date_parse(const char *text, int64_t now_s, int64_t *ret_s, struct err *e);

/* ---- its text ---- */

/* As `sonda policy fmt` writes it, comments included. */
void policy_print(const struct policy *p, struct strbuf *out);
/* One rule, and the sets that it names, without comments. */
void policy_print_rule(const struct policy *p, const struct policy_rule *r, struct strbuf *out);
void policy_print_sets(const struct policy *p, const struct policy_rule *r, struct strbuf *out);

/* The words, for messages, help and docs. */
MUST_USE const struct policy_word_row *policy_words(size_t *ret_count);
MUST_USE const char *policy_verdict_name(enum policy_verdict v);
/* "read", "write" ... of one bit. */
MUST_USE const char *policy_operation_name(enum policy_domain domain, unsigned operation);
/* "files", "packets": what the domain's rules are about. */
MUST_USE const char *policy_domain_name(enum policy_domain domain);
