/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What top and hist share: metric tables, one of each probe that is named, counted in the kernel
 * without a stream, read at intervals, shown as text, JSON or CSV, on a terminal in place. One thread.
 */
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/command.h"
#include "cmd/reading.h"
#include "pipeline/ends.h"
#include "pipeline/losses.h"
#include "pipeline/periodic.h"
#include "pipeline/session.h"
#include "pipeline/symbolise.h"
#include "pipeline/tables.h"

struct meter;
struct meter_form;
struct screen;
struct view;

/* A table that is shown. */
struct panel {
	const char *what;        /* the word behind the probe; NULL */
	const struct view *view; /* the command's: what of the table is shown; NULL: all */
	struct table_asked asked;
	struct schema values; /* where only some of the table's are asked for */
	struct field *fields; /* its own; may be NULL */
	struct strlist by;    /* those of --by that the table has */
	struct table_reader *reader;
	struct reading reading;
};

struct meter_ops {
	/* Is the word about tables of that probe, rather than another probe? */
	bool (*is_part)(const struct declaration *d, const char *word);
	/* Of the ready session: fills panel.asked from panel.what. */
	int (*choose)(struct meter *m, struct panel *p, const struct probe *probe, struct err *e);
	/* The fold is there: fills the order of panel.reading. */
	int (*order)(struct meter *m, struct panel *p, struct err *e);
	/* A reading was made. May be NULL. */
	void (*read)(struct meter *m, struct panel *p);
	void (*text)(struct meter *m, struct panel *p, struct strbuf *out);
	/* A key other than those of all: true: it is one of the command's, draw anew. */
	bool (*key)(struct meter *m, struct panel *p, int key);
	/* Nothing more will come. May be NULL. */
	void (*end)(struct meter *m, struct panel *p, struct strbuf *out);
	const char *keys; /* what they do, a line each, for the help */
};

struct meter {
	const struct meter_ops *ops;
	void *self; /* the command's */
	struct session session;
	const char *format;
	const struct meter_form *form;
	struct strlist by;
	uint64_t interval_ns, for_ns, count;
	uint32_t limit;
	bool once, no_header, no_trailer, strict;

	vec(struct panel) panels;
	size_t focus;         /* the panel that keys are about */
	uint32_t limit_usual; /* groups shown where --limit says nothing; 0: 20, or what fits */
	bool scrolls;         /* text is lines under those before, not a screen; set by choose() */
	bool may_lack_by;     /* a table without any label of --by shows its usual ones */

	struct stream *stream; /* for the accounts; nothing comes through it */
	struct periodics periodics;
	struct ends ends;
	struct loop *loop;
	struct screen *screen; /* NULL: text is appended */
	struct wall wall;
	struct losses losses;
	struct sink *sink; /* of the losses */
	const struct sink_ops *sink_ops;
	struct tally tally;
	uint64_t dropped; /* events that came all the same */
	uint64_t shown;   /* readings */
	bool paused, last_shown, helping, filtering;
	struct strbuf text, out, note, filter;
	struct err *e;
	int failed;
};

void meter_init(struct meter *m, const struct meter_ops *ops, void *self);
void meter_done(struct meter *m);
/* The session's options, then those of reading; words are a probe and what to read of it. */
void meter_options(struct meter *m, struct opt_set *set);

/* Adds the first table of the probe `name`, or once more if it is there; for after the options. */
MUST_USE int meter_add(struct meter *m, const char *name, const struct view *view, struct err *e);

/* Loads, reads and shows until there is a reason to end. Returns the exit code or -errno. */
MUST_USE int meter_run(struct meter *m, const struct opt_rest *rest, struct err *e);
