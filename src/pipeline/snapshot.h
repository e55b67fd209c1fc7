/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Snapshots: the rows of the iterators of a session's only probe, once. Where the kernel can't run
 * them, what /proc tells in the same fields. One thread.
 *
 *	session_ready() -> snapshot_new() -> snapshot_load() -> snapshot_read()
 */
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"
#include "schema/schema.h"

struct err;
struct session;
struct snapshot;

/* A row of one of the schemas, which the condition has let pass; lives until the function returns.
 * Non-zero ends the reading. */
typedef int snapshot_fn(const struct row *row, void *ctx);

/* Of a ready session, which must outlive it. Errors: EXIT_USAGE (no probe, several, one without
 * snapshots, a condition that doesn't fit). */
MUST_USE int snapshot_new(struct session *s, struct snapshot **ret, struct err *e);
void snapshot_free(struct snapshot *s);
AUTO_PTR(snapshot)

/* The nth schema of the rows, with what the enrichers add; NULL at the end. */
MUST_USE const struct schema *snapshot_schema(const struct snapshot *s, size_t nth);

/* Loads the iterators; where that fails and /proc knows as much, says so and takes that. */
MUST_USE int snapshot_load(struct snapshot *s, struct err *e);
/* Errors also: what `fn` returned, when that is negative. */
MUST_USE int snapshot_read(struct snapshot *s, snapshot_fn *fn, void *ctx, struct err *e);
