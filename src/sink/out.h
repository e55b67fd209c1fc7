/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Writing that can be given up: an output that nobody reads must not keep sonda from ending. */
#include "base/attr.h"

struct err;
struct strbuf;

/* Writes the buffer to `fd` and empties it. When `cancel_fd` (-1: none) becomes readable while `fd` takes
 * nothing, it waits half a second more and gives up.
 * Errors: ETIMEDOUT (given up: the rest is dropped), EPIPE, ENOSPC, EIO ... with a message. */
MUST_USE int out_write(struct strbuf *b, int fd, int cancel_fd, struct err *e);
