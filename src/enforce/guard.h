/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What each guard gives to enforcement: which rules it takes, how it fills one generation of its maps.
 * enforce.c loads, pins, fills the generation that is not in force, and switches all guards at once.
 * One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/policy.h"
#include "base/attr.h"
#include "policy/policy.h"

struct enforce_source;
struct err;
struct object;
struct strbuf;

/* What a run of a guard takes. */
struct guard_cost {
	uint64_t ns;
	const char *of; /* "of a packet" */
};

/* "malformed: port 0", 17 */
typedef void guard_count_fn(const char *what, uint64_t count, void *ctx);

/* Whom a rule drops for a while: its slot in the counts, "network 192.0.2.0/24". */
struct guard_flood {
	unsigned slot;
	const char *of;
	uint64_t left_ns;
	uint64_t packets, bytes;
};
typedef void guard_flood_fn(const struct guard_flood *flood, void *ctx);

/* At how many places a rule is to be enforced, and at how many of them the guard stands. */
struct guard_standing {
	unsigned places, held;
};

struct guard {
	const char *name; /* "packet": guards/packet.bpf.c, its pins are below that name */
	enum policy_domain
		domain; /* whose rules it takes; POLICY_DOMAINS: of none, others need it */
	/* Is it needed for `p`? NULL: if that has rules of its domain. */
	bool (*takes)(const struct policy *p);
	/* Before it is loaded for `p`: sizes of maps, variables, slots to be left out. `before`: the guard as it
	 * is in force, to which `o` only adds; NULL: it isn't. May be NULL. */
	int (*prepare)(struct object *o, const struct object *before, const struct policy *p,
		       struct err *e);
	/* Does the guard as it is in force lack programs that `p` needs? Then it is loaded once more, with the
	 * same maps, for these. May be NULL: all are loaded at once. */
	bool (*lacks)(const struct object *in_force, const struct policy *p);
	/* When it is loaded, before it is filled: finds out what the kernel obeys. Generation `gen` of its maps
	 * is empty, unless there is `before`, and may be used. May be NULL. */
	int (*prove)(struct object *o, const struct object *before, const struct policy *p,
		     unsigned gen, struct err *e);
	/* Empties generation `gen` of its maps and fills it with the rules of `p` (none: p NULL).
	 * Rule `n` is p->rules.at[n]. Errors name the place in the policy (policy_wrap()). */
	int (*fill)(const struct object *o, const struct policy *p, unsigned gen, struct err *e);
	/* Attaches what `p` needs and isn't attached yet, when object_load() can't know it (programs tagged
	 * LATER): after fill(), before the switch. What no policy needs any more stays until all is
	 * taken off: a rollback may need it. May be NULL. */
	int (*attach)(struct object *o, const struct policy *p, struct err *e);
	/* Takes away what was attached and doesn't end with its pins, which are still in `dir`: the guard's own, or
	 * that of another version of it whose place this one has taken. May be NULL. */
	void (*detach)(const char *dir);
	/* Calls `fn` for each count that belongs to no rule and isn't 0. May be NULL. */
	int (*counts)(const struct object *o, guard_count_fn *fn, void *ctx, struct err *e);
	/* Calls `fn` for each flood that is being dropped. May be NULL. */
	int (*floods)(const struct object *o, guard_flood_fn *fn, void *ctx, struct err *e);
	/* Of a guard that stands at interfaces: is it at this one, where `r` is about? Else NULL. */
	bool (*stands)(const struct object *o, const struct policy_rule *r, unsigned ifindex);
	/* Of a guard that stands where its rules say: where it does now. `o` is adopted. NULL: all rules have
	 * its links in common. */
	void (*standing)(const struct object *o, const struct policy *p,
			 const struct policy_rule *r, struct guard_standing *ret);
	/* Of such a guard: is there what attach() needs? `o` is adopted. */
	bool (*whole)(const struct object *o);
	/* What whoever applies `p` should know, a line each. May be NULL. */
	void (*caution)(const struct policy *p, struct strbuf *out);
	/* How the rule is enforced on this kernel, in a few words: "deny (lsm)", "drop (XDP, native)".
	 * `o` is loaded. */
	void (*strength)(const struct object *o, const struct policy_rule *r, struct strbuf *out);
	/* May `p` lie beside `now` (NULL: none is in force), so that nothing changes but that it is counted and
	 * told what `p` would refuse? Before attach(). NULL: the guard doesn't look at what lies beside.
	 * Errors: ENOTSUP, EBUSY with EXIT_POLICY. */
	int (*beside)(const struct object *o, const struct policy *now, const struct policy *p,
		      struct err *e);
	/* Measures a run of the guard, which was loaded on trial (preview.h): generation 0 is filled with `p`,
	 * nothing is in force in its maps, which are its own. Errors: why it can't be measured. */
	int (*cost)(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		    struct err *e);
};

/* Has the policy (NULL: none) rules for the guard? */
MUST_USE bool guard_takes_any(const struct guard *g, const struct policy *p);
/* What a run of the slot's program takes while `work` goes on, by the rules of `p`: in a guard of operations that
 * was loaded on trial and is attached. They are asked as alerts that nobody hears of, so that nothing is refused. */
MUST_USE int guard_measure(const struct guard *g, struct object *o, const struct policy *p,
			   const char *slot, void (*work)(void *ctx), void *ctx, uint64_t *ret_ns,
			   struct err *e);
/* struct guard's beside, of a guard that always may. */
MUST_USE int guard_beside_anywhere(const struct object *o, const struct policy *now,
				   const struct policy *p, struct err *e);
/* Takes the guard away: what is attached, its pins. */
void guard_remove(const struct guard *g);
/* Takes away what other versions attached and is kept aside. */
MUST_USE int guards_aside_remove(struct err *e);
/* A rule whose strength begins with "none" is not to be had. Errors: ENOTSUP with EXIT_KERNEL. */
MUST_USE int guard_strength_check(const struct policy *p, const struct policy_rule *r,
				  const char *strength, struct err *e);

/* Where a guard finds other objects; set by enforce_open(). */
extern const struct enforce_source *guard_source;

/* All guards; NULL ends the list. */
extern const struct guard *const guards[];
extern const struct guard guard_packet, guard_traffic, guard_filter, guard_file, guard_kernel,
	guard_socket, guard_ancestry;
