/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A policy put into force: guards loaded and pinned, the generation that is not in force filled, the word
 * that switches all guards at once; confirming, rolling back, ending it. What is in force lies in the BPF
 * file system and goes on without sonda. One process at a time changes it (a lock); one thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/policy.h"
#include "base/attr.h"
#include "base/mem.h"
#include "policy/policy.h"

struct enforce;
struct err;
struct object;
struct strbuf;

/* Opens a guard's object ("guard.packet"), not loaded; the caller's, who ends it by `close`. */
struct enforce_source {
	int (*open)(const char *name, void **ret_handle, struct object **ret_object, struct err *e);
	void (*close)(void *handle);
};

/* Takes the lock and looks at what is in force. Errors: EPERM (EXIT_DENIED), EBUSY (another sonda is
 * at it). `source` is borrowed. */
MUST_USE int enforce_open(const struct enforce_source *source, struct enforce **ret, struct err *e);
/* The same for enforce_apply(), which then also takes over from another version of sonda: its guards stay
 * in force until the new ones are. */
MUST_USE int enforce_open_over(const struct enforce_source *source, struct enforce **ret,
			       struct err *e);
void enforce_free(struct enforce *f);
AUTO_PTR(enforce)

/* Puts `p`, whose source is `text`, into force. confirm_ns: for so long, then what was in force
 * before comes back by itself, unless enforce_confirm() came; 0: for good.
 * On failure what was in force is as it was. Errors: EXIT_POLICY (what the policy names is not there, a rule
 * that can't be enforced here), EXIT_KERNEL, EXIT_DENIED, EBUSY (one waits for confirmation). */
MUST_USE int enforce_apply(struct enforce *f, const struct policy *p, const char *text,
			   uint64_t confirm_ns, struct err *e);
/* Lays `p` beside what is in force, or beside nothing: it is judged as well, and only counted and told. What
 * lay there before, and what enforce_rollback() would have gone back to, is gone. Errors: as those of
 * enforce_apply(), ENOTSUP (EXIT_POLICY: a guard can't). */
MUST_USE int enforce_beside(struct enforce *f, const struct policy *p, const char *text,
			    struct err *e);
/* What lies beside is in force from now on; `confirm_ns` as with enforce_apply(). Errors: ENOENT. */
MUST_USE int enforce_promote(struct enforce *f, uint64_t confirm_ns, struct err *e);
/* Errors: ENOENT (nothing waits). */
MUST_USE int enforce_confirm(struct enforce *f, struct err *e);
/* Takes away what lies beside what is in force; where nothing does, back to what was in force before.
 * *ret_ended: there was nothing, so that nothing is in force now. Errors: ENOENT (nothing is in force). */
MUST_USE int enforce_rollback(struct enforce *f, bool *ret_ended, struct err *e);
/* Ends all of it and removes what was pinned. *ret_was: something was in force. */
MUST_USE int enforce_off(bool *ret_was, struct err *e);

/* ---- what is in force ---- */

struct enforce_state {
	bool in_force;
	bool fell_back;      /* not confirmed in time: the policy before it is in force, or none */
	uint64_t waits_ns;   /* time left to confirm; 0: confirmed */
	uint64_t applied_ns; /* CLOCK_REALTIME */
	struct policy *policy; /* borrowed; NULL: none is in force */
	struct policy *beside; /* likewise; NULL: none lies beside it */
	uint64_t beside_applied_ns;
};
/* As it was when enforce_open() looked. */
MUST_USE const struct enforce_state *enforce_state(const struct enforce *f);

struct enforce_rule {
	struct policy_count count;
	enum policy_mode mode;
	bool tripped, expired;
	uint64_t expires_in_ns; /* 0: never */
	unsigned slot;          /* of its counts */
	char strength[POLICY_STRENGTH];
};
/* Of rule `nth` of the policy in force. */
void enforce_rule(const struct enforce *f, size_t nth, struct enforce_rule *ret);
/* Of the policy beside it. */
void enforce_rule_beside(const struct enforce *f, size_t nth, struct enforce_rule *ret);

/* Calls `fn` for each count of the guards in force that belongs to no rule and isn't 0: what was
 * malformed, what passed in spite of a rule. */
typedef void enforce_count_fn(const char *what, uint64_t count, void *ctx);
MUST_USE int enforce_counts(struct enforce *f, enforce_count_fn *fn, void *ctx, struct err *e);

/* A flood that a rule drops now: whose packets ("network 192.0.2.0/24"), for how long, how many so far. */
struct enforce_flood {
	const char *rule, *of;
	uint64_t left_ns;
	uint64_t packets, bytes;
};
typedef void enforce_flood_fn(const struct enforce_flood *flood, void *ctx);
MUST_USE int enforce_floods(struct enforce *f, enforce_flood_fn *fn, void *ctx, struct err *e);

/* What whoever applies `p` should know of this machine, a line each. */
void enforce_cautions(const struct policy *p, struct strbuf *out);
