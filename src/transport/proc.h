/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Snapshots without iterators: rows made of what /proc tells, in the fields of the probe that would
 * tell them. Slower and less exact (each process is read at another moment); what /proc doesn't know
 * stays 0. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "schema/schema.h"

struct err;

/* A row's bytes: the struct, then its texts. Non-zero ends the reading. */
typedef int proc_fn(const void *bytes, uint32_t size, void *ctx);

struct proc_source {
	const char *probe;   /* "process.list" */
	const char *without; /* what it can't tell */
	bool always;         /* it tells all there is: the probe has no iterators */
	/* Errors: of reading /proc; what `fn` returned. */
	int (*read)(const struct schema *schema, proc_fn *fn, void *ctx, struct err *e);
};

/* NULL: there is none for that probe. */
MUST_USE const struct proc_source *proc_source_find(const char *probe);
/* The environment (SONDA_SNAPSHOT=proc) asks for /proc even where iterators would run. */
MUST_USE bool proc_is_forced(void);

extern const struct proc_source proc_processes, proc_handles, proc_sockets, proc_bpf;
