/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Symbolic names of errno and signal numbers, both ways. Any thread. */
#include <stddef.h>

#include "base/attr.h"

enum { SIGNAL_NAME_MAX = 16 };

/* "ENOENT" for 2 and for -2; also what only the kernel uses ("ERESTARTSYS", 512); or NULL. */
MUST_USE const char *errno_name(int code);
/* The positive number of "ENOENT" (case is ignored), or -1. */
MUST_USE int errno_number(const char *name);
/* The i-th name, NULL at the end: for suggest_from() and completion. `ctx` is not used. */
MUST_USE const char *errno_nth(const void *ctx, size_t i);

/* "SIGTERM", "SIGRTMIN+3", or "SIG99" for what has no name. Returns `out`. */
const char *signal_name(int signo, char out[static SIGNAL_NAME_MAX]);
/* Of "SIGTERM", "TERM", "15", "SIGRTMIN+3", "RTMAX-1" (case is ignored), or -1. */
MUST_USE int signal_number(const char *name);
