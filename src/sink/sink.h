/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Where rows go: text, json, csv, folded, null, a recording. A sink knows schemas, fields and kinds, never
 * probes. Output is gathered in a buffer and written by flush, which the pipeline calls at the end
 * of each batch. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "schema/schema.h"

struct err;
struct account;

struct sink_options {
	int fd;           /* where to write; stays the caller's */
	int cancel_fd;    /* readable: the end is asked for, don't wait long for `fd`; -1: none */
	const char *path; /* of a recording; else NULL */
	bool no_header;
	bool colour;               /* allowed */
	unsigned width_cols;       /* of the terminal; 0: not a terminal */
	const char *const *fields; /* --fields: names in order; NULL: the usual ones */
	size_t field_count;
	bool fields_usual;   /* nobody asked for `fields`: a narrow terminal may leave some out */
	const char *weight;  /* folded: the field that is summed; NULL: rows are counted */
	enum wall_form time; /* text: how it is written; the usual way depends on the width */
	struct wall *wall;   /* turns a row's time into wall time; borrowed */
	bool snapshot;  /* all rows are of one moment: text has no time unless it is asked for */
	bool one_probe; /* all rows are of one probe: text needs no probe column */
	bool verbose;   /* `note` may be told more than one sentence */
	/* Told before the first rows what else a reader should know; NULL: nobody asks. */
	void (*note)(const char *text);
};

struct sink;

struct sink_ops {
	const char *name; /* as in -o NAME */
	const char *help;
	/* *ret is the caller's, freed by close. */
	int (*open)(const struct sink_options *options, struct sink **ret, struct err *e);
	/* Before the first row of a schema. Errors: EINVAL (an unknown field in --fields). */
	int (*bind)(struct sink *s, const struct schema *schema, struct err *e);
	int (*row)(struct sink *s, const struct row *r, struct err *e);
	/* Losses noticed since the last call, as a row of their own: `cause` is a word ("ring"). */
	int (*loss)(struct sink *s, const char *probe, const char *cause, uint64_t count,
		    uint64_t at_ns, struct err *e);
	/* Writes what was gathered. Errors: EPIPE, ENOSPC ... */
	int (*flush)(struct sink *s, struct err *e);
	/* The accounts at the end of the stream (a recording keeps them). May be NULL. */
	int (*end)(struct sink *s, const struct account *accounts, size_t count, struct err *e);
	/* The last object: `members` are JSON, `at_ns` 0: no time is known. NULL where people read. */
	int (*trailer)(struct sink *s, const char *members, uint64_t at_ns, struct err *e);
	void (*close)(struct sink *s);
};

struct sink {
	const struct sink_ops *ops;
};

/* All sinks that -o may name. */
MUST_USE const struct sink_ops *const *sink_list(size_t *ret_count);
MUST_USE const struct sink_ops *sink_find(const char *name);
/* The recording, which `sonda record` uses. */
extern const struct sink_ops sink_record;
