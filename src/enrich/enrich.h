/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Rows gain fields: from pid and start_ns the executable, arguments and the chain of parents; from
 * uid the user's name; from cgroup the systemd unit or the container. A schema is extended once; the
 * values are worked out only when a sink or a filter asks for them, from caches that are primed from
 * what already runs and kept true by the process events that pass. One thread.
 */
#include "base/attr.h"
#include "base/mem.h"
#include "schema/schema.h"

struct err;
struct enrich;

/* Reads /proc once (what already runs). `primed` false: only on demand. */
MUST_USE int enrich_new(bool primed, struct enrich **ret, struct err *e);
void enrich_free(struct enrich *en);
AUTO_PTR(enrich)

/* The schema with what can be added to it: for fields of kind pid "exe", "args", "parents" (chain
 * of comm(pid)), of kind uid "user", of kind cgroup "unit" and "container". The result is en's. */
MUST_USE const struct schema *enrich_schema(struct enrich *en, const struct schema *base);

/* Sees each row before the sinks, so that what process.exec and process.exit rows tell is known
 * even after the process is gone. Cheap for other rows. */
void enrich_observe(struct enrich *en, const struct row *r);
