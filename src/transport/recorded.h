/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A recording as a stream: rows with their schemas and derived values as they were when recorded.
 * Foreign input: everything is bounded and checked. One thread.
 */
#include "schema/recording.h"
#include "transport/stream.h"

/* `path` "-" is standard input. Reads up to the first row, to know what the recording is about. Freed
 * by stream_free(). Errors: of open and read; EINVAL (not a recording, or a version that is newer).
 * A recording that ends in the middle or is damaged gives what is whole before, then says so: drain
 * returns -ENODATA or -EINVAL once, with a message that tells how much was read. */
MUST_USE int recorded_open(const char *path, struct stream **ret, struct err *e);

/* Where and when it was made. */
MUST_USE const struct recording_head *recorded_head(struct stream *s);
