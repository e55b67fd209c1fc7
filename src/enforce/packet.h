/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The user side of guards of packets: rules become tables (packet_plan.c), which interfaces they are about
 * (devices.c), and they are asked which rule decides about a packet (packet_why.c). One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/packet.h"
#include "abi/record.h"
#include "base/attr.h"
#include "base/vec.h"
#include "enforce/guard.h"
#include "enforce/networks.h"
#include "policy/policy.h"

struct err;
struct object;
struct strbuf;

/* One generation of the guard's maps. */
struct packet_tables {
	struct packet_plan *plan; /* 3 MB */
	struct packet_sieve *sieve;
	step_list steps; /* the first block of them is in the plan too */
};
/* Whose rules, and where they stand: a guard that is asked at several places has a number for each. */
struct packet_scope {
	enum policy_domain domain;
	bool unordered; /* all rules count that something meets, not the first: any number may */
	unsigned posts; /* 0: there is one */
	unsigned (*post_of)(const struct policy_rule *r, const void *ctx); /* below `posts` */
	const void *ctx;
};
/* Errors: EINVAL, E2BIG and the like with EXIT_POLICY and the place in the policy; ENODEV (an interface
 * is not there); of reading lists. */
MUST_USE int packet_tables_make(const struct policy *p, const struct packet_scope *scope,
				struct packet_tables *ret_tables, struct err *e);
/* Into generation `gen` of a guard's maps. */
MUST_USE int packet_tables_write(const struct object *o, unsigned gen,
				 const struct packet_tables *t, struct err *e);
void packet_tables_done(struct packet_tables *t);

/* Its number. Errors: ENODEV with EXIT_POLICY, a suggestion. */
MUST_USE int interface_find(const char *name, unsigned *ret_ifindex, struct err *e);

typedef vec(unsigned) ifindex_list;
/* Those that the rule names by `on`; else all that are up, but for loopback, what carries no Ethernet frames,
 * and what lies above others. Errors: EXIT_POLICY with the place in the policy. */
MUST_USE int rule_interfaces(const struct policy *p, const struct policy_rule *r,
			     ifindex_list *list, struct err *e);
MUST_USE bool rule_names_interfaces(const struct policy_rule *r);

/* Calls `fn` for each interface that rule_interfaces() would give; also for those that aren't there (`ifindex` 0). */
typedef int interface_fn(const char *name, unsigned ifindex, void *ctx, struct err *e);
MUST_USE int rule_each_interface(const struct policy *p, const struct policy_rule *r,
				 interface_fn *fn, void *ctx, struct err *e);

/* A line that says where rules that name no interface stand, if there are any. */
void interfaces_caution(const struct policy *p, struct strbuf *out);

/* struct guard's beside: rules of `now` that name no interface stand at all that are guarded, so no more may
 * become so. `stands`: is the guard at the interface, where `r` is about? */
typedef bool stands_fn(const struct object *o, const struct policy_rule *r, unsigned ifindex);
MUST_USE int interfaces_beside(const struct object *o, const struct policy *now,
			       const struct policy *p, enum policy_domain domain, stands_fn *stands,
			       struct err *e);

/* struct guard's standing, of one that stands at interfaces. */
void interfaces_standing(const struct object *o, const struct policy *p,
			 const struct policy_rule *r, stands_fn *stands,
			 struct guard_standing *ret);

/* A packet to ask about. */
struct packet_asked {
	struct ip from, to; /* of one family */
	uint8_t protocol;   /* 6, 17, 1 or 58 ... */
	uint8_t icmp_type;  /* of one that is ICMP or ICMPv6 */
	uint16_t from_port, to_port;
	bool syn;
	unsigned ifindex;
	enum packet_place place;   /* where it is asked about */
	int priority;              /* at a hook of netfilter */
	const char *user, *cgroup; /* who sends it; NULL: nobody whom a rule mentions */
};
/* The guard that decides at a place. */
MUST_USE const char *packet_guard_name(enum packet_place place);
/* Lets the guard in force decide about it, by BPF_PROG_TEST_RUN on a frame of such a packet: nothing is
 * counted, nothing sent. `o` is that guard's, adopted. Writes a sentence or a few: which rule, what it
 * does, which it met before. `p` is the policy in force. Errors: EINVAL, ENOENT (no policy is in
 * force), of the kernel. */
MUST_USE int packet_why(const struct object *o, const struct policy *p,
			const struct packet_asked *asked, struct strbuf *out, struct err *e);

/* Of the guard of traffic in force: the program of a direction, the caller's; and who is to have sent the packet
 * that is asked about. */
MUST_USE int traffic_program_open(bool out, int *ret_fd, struct err *e);
MUST_USE int traffic_sender_put(const struct object *o, const char *user, const char *cgroup,
				struct err *e);

/* Of the guard of filter in force: its program of that priority run on a frame. */
MUST_USE int filter_run(const struct object *o, unsigned hook, int priority, bool is_v6,
			const void *frame, size_t size, struct err *e);
/* As netfilter hands it to a program: the rest of it must be zero. */
struct filter_state {
	uint8_t hook, family;
	uint8_t zero[46];
};
/* Of the guard loaded on trial: the program of the rule's priority, which goes on to the rules; the object's.
 * Errors: ENOENT (it isn't loaded). */
MUST_USE int filter_program(const struct object *o, const struct policy_rule *r, int *ret_fd,
			    struct filter_state *ret_state, struct err *e);

/* struct guard's counts: packets that were fragments or malformed, by what; that passed though a rule
 * would have dropped them, by why. */
MUST_USE int packet_counts(const struct object *o, guard_count_fn *fn, void *ctx, struct err *e);
/* The same, each with `where` in front. */
MUST_USE int packet_counts_at(const struct object *o, const char *where, guard_count_fn *fn,
			      void *ctx, struct err *e);

/* A UDP packet of IPv4 that nobody sent, with its Ethernet header; how long it is. */
#define PACKET_SAMPLE_MAX 128
MUST_USE size_t packet_sample(uint8_t bytes[static PACKET_SAMPLE_MAX]);

/* struct guard's cost: the programs run on that packet (packet_cost.c). */
MUST_USE int packet_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
			 struct err *e);
MUST_USE int traffic_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
			  struct err *e);
MUST_USE int filter_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
			 struct err *e);

/* struct guard's floods: whom rules drop now. */
MUST_USE int packet_floods(const struct object *o, guard_flood_fn *fn, void *ctx, struct err *e);

/* ---- rules that answer SYNs with cookies ---- */

/* Are there any? */
MUST_USE bool packet_answers(const struct policy *p);
/* Does this machine take what they answer with? Errors: EOPNOTSUPP with EXIT_KERNEL and the place. */
MUST_USE int packet_cookies_check(const struct policy *p, struct err *e);
/* Answers of a program in native mode are lost there: a veth whose other end runs no program. */
MUST_USE bool packet_answers_by_generic(unsigned ifindex);
/* At interfaces where SYNs are answered: meets the ACKs, where the kernel can be told of options then; else they
 * are kept as the machine is set. */
MUST_USE int packet_cookies_attach(struct object *o, const ifindex_list *list, struct err *e);
/* When SYNs are answered, and what of options is kept, as the machine is set. */
void packet_cookies_strength(const struct object *o, struct strbuf *out);
/* struct guard's caution. */
void packet_caution(const struct policy *p, struct strbuf *out);
