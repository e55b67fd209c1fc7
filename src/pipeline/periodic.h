/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Programs tagged EVERY: run by a timer while a session runs; those tagged AT_START: once. One thread. */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/vec.h"

struct loop;
struct object;
struct session;

struct periodic {
	const struct object *object;
	const char *program;
	struct loop_timer *timer;
	uint64_t ran_ns; /* clock_mono_ns(), when it ran last */
	bool at_reading;
};
struct periodics {
	struct loop *loop;
	vec(struct periodic *) all;
};

/* Runs what is to be run at the start, and starts the timers of all programs in use; the session and the
 * loop are borrowed. */
void periodics_start(struct periodics *p, struct session *s, struct loop *l);
/* Tables are about to be read: runs what is tagged AT_READING, where it hasn't run for `fresh_ns`. */
void periodics_refresh(struct periodics *p, uint64_t fresh_ns);
/* Runs each once more, when nothing is attached any more: what waits is told. */
void periodics_finish(struct periodics *p);
void periodics_done(struct periodics *p);
