/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A recording as a stream: rows with their schemas and derived values as they were when recorded.
 * Foreign input: everything is bounded and checked. One thread.
 */
#include "transport/stream.h"

/* `path` "-" is standard input. Freed by stream_free(). Errors: of open; EINVAL (not a recording, or a
 * version that is newer). A recording that ends in the middle gives what is whole, then says so:
 * drain returns -ENODATA once, with a message that tells how much was read. */
MUST_USE int recorded_open(const char *path, struct stream **ret, struct err *e);
