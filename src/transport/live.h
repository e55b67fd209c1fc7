/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The stream of probes that run now: their rings merged by time, their accounts. One thread.
 */
#include "transport/stream.h"

struct object;

/* Never NULL; freed by stream_free(). */
MUST_USE int live_new(struct stream **ret, struct err *e);

enum live_account {
	LIVE_HELPER,  /* sonda's own: it has none */
	LIVE_COUNTED, /* the probe's own, from its loading on */
	/* A guard's, which counts since it came into force and goes on: what is read here is what was seen. What found
	 * no room in its ring is counted with its rules. */
	LIVE_IN_FORCE,
};

/* Adds a loaded probe. `events` are its event schemas (as extended by enrichers), found by their
 * type_id. All is borrowed and must outlive the stream. Errors: of mapping the ring. */
MUST_USE int live_add(struct stream *s, const char *probe, const struct object *object,
		      const struct schema *const *events, size_t event_count,
		      enum live_account kind, struct err *e);
