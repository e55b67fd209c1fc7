/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The stream of probes that run now: their rings merged by time, their accounts. One thread.
 */
#include "transport/stream.h"

struct object;

/* Never NULL; freed by stream_free(). */
MUST_USE int live_new(struct stream **ret, struct err *e);

/* Adds a loaded probe. `counted`: it has an account; not so sonda's own helpers. `events` are its event schemas (as extended by enrichers), found by their
 * type_id. All is borrowed and must outlive the stream. Errors: of mapping the ring. */
MUST_USE int live_add(struct stream *s, const char *probe, const struct object *object,
		      const struct schema *const *events, size_t event_count, bool counted,
		      struct err *e);
