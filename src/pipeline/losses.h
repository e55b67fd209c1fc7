/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The accounts of a stream: losses are told as rows when they are noticed, and the whole is summed at
 * the end, so that seen = delivered + filtered + lost. One thread.
 */
#include <stdint.h>

#include "base/attr.h"
#include "sink/sink.h"
#include "transport/stream.h"

struct err;
struct session;
struct strbuf;

/* Why something is lost: enum loss, then what the kernel skipped, then what was sent and not understood. */
enum { LOSS_MISSED = LOSS_COUNT, LOSS_UNREAD, LOSS_CAUSES };
/* A word for the cause. */
MUST_USE const char *loss_cause(unsigned cause);

struct losses {
	uint64_t *told; /* LOSS_UNREAD for each account: the causes before it */
};
void losses_done(struct losses *l);

/* Gives what was lost since the last call to the sink. */
MUST_USE int losses_tell(struct losses *l, struct stream *s, const struct sink_ops *ops,
			 struct sink *sink, struct err *e);

struct tally {
	uint64_t seen, delivered, filtered, lost; /* seen = delivered + filtered + lost */
	uint64_t lost_by[LOSS_CAUSES];
	uint64_t cpu_ms; /* that sonda itself has used */
	uint64_t cut, unresolved, overflow;
};

/* Sums a stream that has been read to its end, with what userland delivered and filtered. */
void tally_take(struct tally *t, struct stream *s, uint64_t delivered, uint64_t filtered);

/* "seen S, delivered D, filtered F, lost L", and where there is something to say: truncated, unresolved,
 * what was lost and not by a ring (state, busy, room, missed, unread), overflowed. */
void tally_line(const struct tally *t, struct strbuf *out);

/* The closing line on stderr, after what the session could not see (NULL: a recording). `more` is put
 * behind it; NULL: nothing. */
void tally_note(const struct tally *t, const struct session *s, const char *more);
