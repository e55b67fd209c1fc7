/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A policy put into force: guards loaded and pinned, the generation that is not in force filled, the word
 * that switches all guards at once; confirming, rolling back, ending it. What is in force lies in the BPF
 * file system and goes on without sonda. One process at a time changes it (a lock); one thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/policy_subject.h"
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
 * in force until the new ones are. With confirm_ns the policy in force is taken over first, so that there is a
 * way back to it; it stays so taken over if the new one fails. */
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
 * *ret_ended: nothing is in force now, as before what lay beside, or what waits for confirmation, was applied.
 * Errors: ENOENT (nothing is in force, or there is nothing to go back to: what is in force stays). */
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
	uint64_t expires_in_ns;         /* 0: never */
	unsigned slot;                  /* of its counts */
	struct policy_lists lists;      /* as they were when it was applied */
	char strength[POLICY_STRENGTH]; /* as it was when it was applied */
	bool attached;                  /* by enforce_look() */
};
/* Of rule `nth` of the policy in force. */
void enforce_rule(const struct enforce *f, size_t nth, struct enforce_rule *ret);
/* Of the policy beside it. */
void enforce_rule_beside(const struct enforce *f, size_t nth, struct enforce_rule *ret);

/* Looks whether rule `nth` of `p`, which is the policy in force or the one beside it, is enforced everywhere where it was to be:
 * `attached` and `strength` say so, as of now. */
void enforce_look(struct enforce *f, const struct policy *p, size_t nth, struct enforce_rule *told);

/* The rules, by their bits, that the guard of files in force (`beside`: that of the policy beside) holds the very file
 * to be of that `path` leads to now, wherever it came from; none where it isn't there, or there is no such guard. */
MUST_USE int enforce_file_rules(struct enforce *f, const char *path, bool beside,
				struct rule_set *ret, struct err *e);

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

/* Calls `fn` for each interface that rules in force are about, but don't stand at: it came, or was made anew, when
 * they were applied already, or isn't there. Once for all rules without `on`, by the first of them. */
typedef void enforce_uncovered_fn(const struct policy_rule *first, const char *interface,
				  void *ctx);
MUST_USE int enforce_uncovered(struct enforce *f, enforce_uncovered_fn *fn, void *ctx,
			       struct err *e);

/* What whoever applies `p` should know of this machine, a line each. */
void enforce_cautions(const struct policy *p, struct strbuf *out);
