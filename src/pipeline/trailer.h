/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What the closing line says, for machines: the last object of a stream of JSON. One thread. */
#include "base/attr.h"
#include "sink/sink.h"

struct err;
struct session;
struct tally;

/* Tells it to the sink, where that is one for machines; the caller flushes. `s` NULL: a recording, of which hooks, the
 * moment and the cost of recording aren't known. */
MUST_USE int trailer_tell(const struct tally *t, const struct session *s,
			  const struct sink_ops *ops, struct sink *sink, struct err *e);
