/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Rows gain fields: from pid and start_ns the executable, arguments and the chain of parents; from
 * uid the user's name; from cgroup the systemd unit or the container. A schema is extended once; the
 * values are worked out only when a sink or a filter asks for them. One thread.
 */
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"
#include "schema/schema.h"

struct err;
struct enrich;
struct symbols;

/* Never NULL. */
MUST_USE struct enrich *enrich_new(void);
void enrich_free(struct enrich *en);
AUTO_PTR(enrich)

/* Does a field of that name come from processes, so that enrich_prime() and the rows of process.image
 * are needed for it? */
MUST_USE bool enrich_of_process(const char *field);

/* Reads what already runs; call it when process.image watches, so that nothing falls between. */
MUST_USE int enrich_prime(struct enrich *en, struct err *e);

/* The schema with what can be added to it: to a "pid" with "start_ns" exe, args and parents, to a "uid"
 * user, to a "cgroup" unit and container; stacks become names. The result is en's; `base` must outlive it. */
MUST_USE const struct schema *enrich_schema(struct enrich *en, const struct schema *base);

/* The labels of a metric table with what follows from one of them alone: to a "uid" user, to a
 * "cgroup" unit, container and cgroup_path, to an "irq" controller, to a "pid" comm, pid_comm (the same, beside a comm that the
 * probe tells) and exe, as /proc has them when they are asked for. */
MUST_USE const struct schema *enrich_labels(struct enrich *en, const struct schema *base);
/* The derived label that says in words what `label` is, NULL: it speaks for itself. `replaces`: so well
 * that people need no number beside it. */
MUST_USE const char *enrich_label_note(const struct field *label, bool *ret_replaces);

/* Has a schema that was extended a stack: as a field, or (`labels`) as a label? Then its names come from
 * here, and symbols are to be kept true. */
MUST_USE bool enrich_has_stacks(const struct enrich *en, bool labels);
/* en's: what stacks get their names from. */
MUST_USE struct symbols *enrich_symbols(struct enrich *en);
/* Where the stacks that labels stand for are to be had; false: there is none of that number. */
typedef bool enrich_kept_fn(uint64_t id, struct stack_kept *ret, void *ctx);
void enrich_kept_stacks(struct enrich *en, enrich_kept_fn *fn, void *ctx);

/* Takes in a row of process.image. */
void enrich_observe(struct enrich *en, const struct row *r);
