/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The common filters (--pid --tid --comm --exe --user --cgroup --tree --errors --min): from what the
 * user wrote to the kernel's sets and the probe's configuration. One thread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/str.h"

struct conf;
struct err;
struct opt_table;
struct probe;

#define FILTER_MIN_UNSET UINT64_MAX

/* What the options fill. Lists are sets; a leading '!' on each element negates the set. */
struct filters {
	struct strlist pid, tid, comm, exe, user, cgroup, tree;
	bool errors;
	uint64_t min_ns; /* FILTER_MIN_UNSET: each probe's own default */
	pid_t follow;    /* `-- COMMAND`: its process; 0: none */

	int sets_fd;          /* the kernel's sets, once filters_ready() has made them; -1 */
	uint32_t on, negated; /* bits of enum filter_set */
};

void filters_init(struct filters *f);
void filters_done(struct filters *f);

/* The options, for opt_set_add(). */
MUST_USE struct opt_table filters_options(struct filters *f);

/* Resolves names (users, executables, cgroups) and fills the kernel's sets where there are any.
 * Errors: EXIT_USAGE (what is wrong, what was expected), ENOENT, EXIT_DENIED. */
MUST_USE int filters_ready(struct filters *f, struct err *e);

/* Writes the filters into a probe's configuration and gives it the sets. Errors: EXIT_USAGE when the
 * probe doesn't have such a filter. */
MUST_USE int filters_apply(const struct filters *f, struct probe *p, struct err *e);

/* Does anything follow a tree of processes, so that the tracker must run? */
MUST_USE bool filters_follow_tree(const struct filters *f);
/* With the tracker attached: adds the descendants that run already. */
MUST_USE int filters_seed_tree(const struct filters *f, struct err *e);
