/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Programs tagged EVERY: run by a timer while a session runs; those tagged AT_START: once. One thread. */
#include "base/attr.h"
#include "base/vec.h"

struct loop;
struct object;
struct session;

struct periodic {
	const struct object *object;
	const char *program;
	struct loop_timer *timer;
};
struct periodics {
	struct loop *loop;
	vec(struct periodic *) all;
};

/* Runs what is to be run at the start, and starts the timers of all programs in use; the session and the
 * loop are borrowed. */
void periodics_start(struct periodics *p, struct session *s, struct loop *l);
/* Runs each once more, when nothing is attached any more: what waits is told. */
void periodics_finish(struct periodics *p);
void periodics_done(struct periodics *p);
