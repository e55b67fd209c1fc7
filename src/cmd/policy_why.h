/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Which rule of the policy in force, and of the one beside it, decides about an operation, a packet, a recorded event,
 * or whatever a process does. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/record.h"
#include "base/attr.h"
#include "policy/judge.h"

struct enforce;
struct enforce_rule;
struct err;
struct object;
struct packet_asked;
struct policy_who;
struct strbuf;

/* "read /etc/shadow", "/etc/shadow", "1234"; "-": events as JSON on standard input. `who` is filled in. Returns EXIT_OK
 * or -errno. */
MUST_USE int policy_why(struct enforce *f, char **words, size_t count, struct policy_who *who,
			struct err *e);
/* "why packet out tcp 203.0.113.7:4000 192.0.2.1:22 syn on eth0": words behind "packet". */
MUST_USE int policy_why_parse(char **words, size_t count, struct packet_asked *ret_asked,
			      struct err *e);
/* Of what domain the rules are that it meets. */
MUST_USE enum policy_domain policy_why_domain(const struct packet_asked *asked);
/* `guard` is that of the place, in force; NULL: none is, because there are no such rules. */
MUST_USE int policy_why_packet(struct enforce *f, const struct object *guard,
			       const struct packet_asked *asked, struct err *e);

/* ---- for the files behind these ---- */

/* All borrowed. */
struct why {
	struct enforce *enforce;
	const struct policy_who *who;
	struct accounts *accounts;
	struct lookup *files;
	struct strbuf *out;
	bool identifies; /* the guard is asked about a file as well: dear */
};

/* A policy that is asked: the one in force, or the one beside it. */
struct why_side {
	const struct policy *policy;
	void (*rule)(const struct enforce *f, size_t nth, struct enforce_rule *ret);
	const char *mark;
	bool beside;
};
/* How many there are. */
MUST_USE unsigned why_sides(const struct enforce *f, struct why_side ret[static 2]);

/* What the rules of each policy say of an operation. */
MUST_USE int why_operation(const struct why *w, const struct policy_question *q, struct err *e);
/* What the rules of one say of a packet, by their text; `priority`: of those at netfilter's hooks that have it only; NULL:
 * of all. Adds to *ret_rules how many. */
MUST_USE int why_packet_rules(const struct why *w, const struct why_side *side,
			      const struct policy_question *q, const int *priority,
			      const char *lacks, unsigned *ret_rules, struct err *e);
/* Events on standard input, a JSON object a line. */
MUST_USE int why_events(const struct why *w, struct err *e);

/* "192.0.2.1:22", "tcp" */
MUST_USE int why_address_parse(const char *text, struct ip *ret_ip, uint16_t *ret_port,
			       struct err *e);
MUST_USE int why_protocol_parse(const char *text, uint8_t *ret, struct err *e);
