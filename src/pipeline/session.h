/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Probes made ready and running: found, given their parameters and filters, conditions pushed into the
 * kernel, loaded, attached. What trace, record, top and hist share. One thread.
 *
 *	session_init() -> options are parsed (session_word() opens probes as they are named)
 *	-> session_load() -> run ... -> session_stop() -> session_done()
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/vec.h"
#include "filter/filter.h"
#include "pipeline/catalog.h"
#include "pipeline/child.h"
#include "pipeline/filters.h"

struct enrich;
struct err;
struct opt_set;
struct opt_table;
struct stream;
struct symboliser;

/* An event of a probe, as rows of it will come. */
struct watched_event {
	const struct schema *schema; /* extended by the enrichers */
	struct schema *shown;        /* with what parameters ask for; NULL: nothing */
	struct filter_bound *where;  /* what is left for userland; NULL: all pass */
	bool nothing; /* the condition speaks of fields that this event doesn't have: no row passes */
};

struct watched {
	struct probe *probe;
	struct opt *param_rows; /* its parameters as options */
	char *where_text;       /* of its own: "fs.open: err != 0"; NULL */
	struct filter *where;   /* the same parsed */
	vec(struct watched_event) events;
	const struct schema **schemas; /* of events, in order, for the stream */
};

struct session {
	struct catalog catalog;
	struct filters filters;
	const char *where_text; /* --where; NULL */
	struct filter *where;
	uint64_t buffer_bytes; /* --buffer; 0: the probe's own */
	const char *interface; /* --interface; NULL */
	bool without_events, without_tables;
	bool only_snapshots; /* nothing but the iterators */
	bool no_enrich;      /* --no-enrich */
	vec(struct watched) probes;
	bool wants_processes;   /* exe, args or parents are shown or asked for */
	bool wants_user_stacks; /* `ustack` is: see STACKS_HELD of the probe language */
	struct probe *tracker;  /* of process trees; NULL: not needed */
	struct probe *feed;     /* of what processes run, for the enrichers; NULL: not needed */
	const struct schema **feed_schemas;
	struct child child;
	struct enrich *enrich;
	struct symboliser *symboliser; /* NULL: no stacks */
	bool ready;                    /* session_ready() was done */
};

void session_init(struct session *s);
/* Detaches, ends the child if it still waits, frees all. */
void session_done(struct session *s);

/* The options that every session has: filters, --where, --interface. */
void session_options(struct session *s, struct opt_set *set);
/* Those of a session with a stream of events: --buffer. */
void session_stream_options(struct session *s, struct opt_set *set);

/* For opt_set.word: the word is a probe, with or without a condition of its own ("fs.open: err != 0"),
 * whose parameters become options. `ctx` is the session. */
MUST_USE int session_word(struct opt_set *set, const char *word, void *ctx, struct err *e);

/* Readies the command after `--` (stopped before it runs); argv is borrowed. */
MUST_USE int session_command(struct session *s, char **argv, struct err *e);

/* All that comes before loading: filters, enrichers, conditions. For who has something to set in
 * the probes' objects then; session_load() does it otherwise. Errors: as session_load(). */
MUST_USE int session_ready(struct session *s, struct err *e);

/* The condition of a ready session (--where and the probe's own) on rows of another schema than its
 * events': of a table, of a snapshot. *ret is the caller's; NULL: all pass. Errors: of
 * filter_bind(). */
MUST_USE int session_condition(const struct session *s, const struct watched *w,
			       const struct schema *schema, struct filter_bound **ret,
			       struct err *e);

/* Loads and attaches everything. Errors: EXIT_USAGE, EXIT_DENIED, EXIT_KERNEL ... */
MUST_USE int session_load(struct session *s, struct err *e);

/* Says that it watches and lets the command go: from here on nothing is missed. */
MUST_USE int session_go(struct session *s, struct err *e);

/* The stream of the loaded probes; freed by stream_free(). */
MUST_USE int session_stream(struct session *s, struct stream **ret, struct err *e);

/* "fs.open (tracepoint), net.dns (cgroup_skb)": by which hooks. */
void session_describe(const struct session *s, struct strbuf *out);
/* What isn't seen while the slot is empty, and why: what its best alternative says; NULL: nothing. */
MUST_USE const char *session_slot_missed(const struct watched *w, const char *slot,
					 const char **ret_reason);
/* What the probes promise and can't keep here, a line each; "" when nothing is missing. */
void session_coverage(const struct session *s, struct strbuf *out);

/* Detaches: no further event is seen; what was seen can still be read. */
void session_stop(struct session *s);
