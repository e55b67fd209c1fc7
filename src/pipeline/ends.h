/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Why a run ends, besides its own reasons: a signal, the end of the command, --for. Signals are
 * passed on to the command. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct child;
struct err;
struct loop;

struct ends {
	struct loop *loop;
	struct child *child; /* NULL: none */
	int cancel_fd; /* readable from the moment a signal to end comes, whoever has read it; -1 */
	int waiting_fd, heeded_fd; /* its two reasons: a signal waits; one was heeded */
	bool reached;
};
#define ENDS_NONE                                                  \
	{                                                          \
		.cancel_fd = -1, .waiting_fd = -1, .heeded_fd = -1 \
	}

/* Everything is borrowed. `for_ns` 0: no limit. On failure ends_done() is due all the same. */
MUST_USE int ends_watch(struct ends *n, struct loop *l, struct child *child, uint64_t for_ns,
			struct err *e);
/* The end is reached: the loop stops. */
void ends_now(struct ends *n);
void ends_done(struct ends *n);
