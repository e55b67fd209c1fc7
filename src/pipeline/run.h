/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * From a stream to a sink until there is a reason to end: a signal, --count, --for, the command's end,
 * the recording's end, or an output that takes no more. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "pipeline/losses.h"
#include "sink/sink.h"
#include "transport/stream.h"

struct enrich;
struct err;
struct filter;
struct opt_set;
struct session;

/* What the user chose about output and end; see run_options(). */
struct run_options {
	const char *format;    /* -o */
	struct strlist fields; /* --fields */
	const char *weight;    /* --weight */
	int time;              /* --time: enum wall_form */
	bool no_header, no_trailer;
	uint64_t count;  /* --count; 0: no limit */
	uint64_t for_ns; /* --for; 0: no limit */
	bool strict;     /* --strict: fail when something was lost or is not covered */
};

/* Adds the options to a set. */
void run_options(struct run_options *o, struct opt_set *set);
/* Those that say when to end, for what is recorded whole. */
void run_end_options(struct run_options *o, struct opt_set *set);
void run_options_done(struct run_options *o);

/* Runs a loaded session into a sink (NULL: the one that -o names). Prints the closing line unless
 * quiet. Errors: of the sink (EPIPE, ENOSPC ...); what was delivered before is whole. */
MUST_USE int run_session(struct session *s, const struct run_options *options,
			 const struct sink_ops *sink, const char *path, struct tally *ret,
			 struct err *e);

/* The same for rows that come from a recording; `where` may be NULL. */
MUST_USE int run_recorded(struct stream *stream, struct filter *where,
			  const struct run_options *options, struct tally *ret, struct err *e);
