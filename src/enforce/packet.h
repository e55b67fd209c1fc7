/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The packet guard's user side: rules become tables (packet_plan.c), and it is asked which rule decides
 * about a packet (packet_why.c). One thread.
 */
#include <stdint.h>

#include "abi/packet.h"
#include "abi/record.h"
#include "base/attr.h"
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
/* Errors: EINVAL, E2BIG and the like with EXIT_POLICY and the place in the policy; ENODEV (an interface
 * is not there); of reading lists. */
MUST_USE int packet_tables_make(const struct policy *p, struct packet_tables *ret_tables,
				struct err *e);
void packet_tables_done(struct packet_tables *t);

/* A packet to ask about. */
struct packet_asked {
	struct ip from, to; /* of one family */
	uint8_t protocol;   /* 6, 17, 1 or 58 ... */
	uint16_t from_port, to_port;
	bool syn;
	unsigned ifindex;
};
/* Lets the guard that is loaded decide about it, by BPF_PROG_TEST_RUN on a frame of such a packet:
 * nothing is counted, nothing sent. Writes a sentence or a few: which rule, what it does, which it met
 * before. `p` is the policy in force. Errors: EINVAL, ENOENT (no policy is in force), of the kernel. */
MUST_USE int packet_why(const struct object *o, const struct policy *p,
			const struct packet_asked *asked, struct strbuf *out, struct err *e);

/* struct guard's counts: packets that were fragments or malformed, by what; that passed though a rule
 * would have dropped them, by why. */
MUST_USE int packet_counts(const struct object *o, guard_count_fn *fn, void *ctx, struct err *e);

/* struct guard's cost: the program run on a UDP packet that nobody sent. */
MUST_USE int packet_cost(struct object *o, struct guard_cost *ret_cost, struct err *e);
