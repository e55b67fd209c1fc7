/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The maps that all guards share (abi/policy.h): found where they are pinned, or made; the word that
 * switches; rules and their counts. Inside src/enforce only. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/policy.h"
#include "base/attr.h"
#include "enforce/enforce.h"
#include "policy/policy.h"

struct err;
struct object;

enum {
	SHARED_STATE,
	SHARED_RULES,
	SHARED_COUNTS,
	SHARED_TRIPS,
	SHARED_TEXT,
	SHARED_STRENGTH,
	SHARED_LISTS,
	SHARED_LINES, /* of abi/policy_ancestry.h */
	SHARED_COUNT
};

#define SHARED_LINES_PIN "policy/policy_lines"

struct shared {
	int fd[SHARED_COUNT]; /* -1: not there */
	uint64_t *word;       /* of policy_state, as the kernel sees it; NULL: not there */
};
void shared_init(struct shared *s);
void shared_done(struct shared *s);

/* Opens what is pinned. *ret_there: there is something. Errors: EINVAL (half of it). */
MUST_USE int shared_find(struct shared *s, bool *ret_there, struct err *e);
/* Makes and pins them, nothing being in force. */
MUST_USE int shared_make(struct shared *s, struct err *e);
/* Has the object use them when it is loaded. */
MUST_USE int shared_give(const struct shared *s, struct object *o, struct err *e);
/* Writes the word at once: from here on all guards go by it. */
void shared_switch(struct shared *s, uint64_t word);

/* Places for counts that no rule in force uses; a rule that has a namesake in force gets that one's. */
struct slots {
	bool taken[POLICY_SLOTS];
	bool apart; /* namesakes count apart: the policy lies beside the one in force */
	struct policy_rule_row *before; /* of the generation in force; NULL: none */
};
/* `s` NULL: nothing is in force. */
void slots_init(struct slots *slots, const struct shared *s, unsigned gen);
void slots_done(struct slots *slots);

/* Writes rule `n` of generation `gen`. */
MUST_USE int shared_rule(struct shared *s, struct slots *slots, unsigned gen, unsigned n,
			 const struct policy *p, const struct policy_rule *r, const char *strength,
			 struct err *e);
/* Notes what the lists are that the rules of `p` name: before they are read for guards, so that one that changes
 * meanwhile is told to have. */
MUST_USE int shared_set_lists(struct shared *s, unsigned gen, const struct policy *p,
			      struct err *e);
/* Rules from `n` on are none. */
MUST_USE int shared_no_rules(struct shared *s, unsigned gen, unsigned n, struct err *e);
/* Makes the limits (`trip`) of the generation's rules begin anew. */
MUST_USE int shared_trips_reset(struct shared *s, unsigned gen, struct err *e);
/* Takes out of a guard's "policy_alerts" (`fd`; -1: it has none) what rules left that are gone. */
void shared_alerts_tidy(const struct shared *s, int fd);
/* false: it can't be read. Its name is empty: there is none. */
MUST_USE bool shared_read_row(const struct shared *s, unsigned gen, unsigned n,
			      struct policy_rule_row *ret);
void shared_read_rule(const struct shared *s, unsigned gen, unsigned n, struct enforce_rule *ret);

MUST_USE int shared_set_text(struct shared *s, unsigned gen, const char *text, struct err *e);
/* What another version of sonda put into force: its source. *ret_any: there is something. Errors: EBUSY (it waits for
 * confirmation), ENOTSUP (it can't be read). */
MUST_USE int shared_text_of_another(struct policy_text *ret, bool *ret_any, struct err *e);
MUST_USE int shared_text(const struct shared *s, unsigned gen, struct policy_text *ret,
			 struct err *e);
