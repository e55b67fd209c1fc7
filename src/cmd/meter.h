/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What top and hist share: one metric table of one probe, counted in the kernel without a stream,
 * read at intervals, shown as text, JSON or CSV, on a terminal in place. One thread.
 */
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/command.h"
#include "cmd/reading.h"
#include "pipeline/ends.h"
#include "pipeline/losses.h"
#include "pipeline/periodic.h"
#include "pipeline/session.h"
#include "pipeline/tables.h"

struct meter;
struct meter_form;
struct screen;

struct meter_ops {
	/* Of the ready session: fills meter.asked. `what`: the word behind the probe, or NULL. */
	int (*choose)(struct meter *m, const char *what, struct err *e);
	/* The fold is there: fills the order of meter.reading. */
	int (*order)(struct meter *m, struct err *e);
	void (*text)(struct meter *m, struct strbuf *out);
	/* A key other than q and space; true: it is one of the command's, draw anew. */
	bool (*key)(struct meter *m, int key);
	const char *keys; /* what they do, for the title: "s sort, " */
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
	bool once, no_header, strict;

	struct table_asked asked;
	struct reading reading;
	bool scrolls; /* text is lines under those before, not a screen; set by choose() */

	struct table_reader *reader;
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
	bool paused, last_shown;
	struct strbuf text, out, note;
	struct err *e;
	int failed;
};

void meter_init(struct meter *m, const struct meter_ops *ops, void *self);
void meter_done(struct meter *m);
/* The session's options, then those of reading; words are a probe and what to read of it. */
void meter_options(struct meter *m, struct opt_set *set);

/* Loads, reads and shows until there is a reason to end. Returns the exit code or -errno. */
MUST_USE int meter_run(struct meter *m, const struct opt_rest *rest, struct err *e);
