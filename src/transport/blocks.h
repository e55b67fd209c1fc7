/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The blocks of a recording: read, checked and decompressed one after the other. One thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "schema/recording.h"

struct blocks;
struct err;

/* `path` "-" is standard input. Errors: of open and read; EINVAL (no recording, a newer one, of the
 * other byte order). Messages are what may follow "recording 'x'". */
MUST_USE int blocks_open(const char *path, struct blocks **ret, struct err *e);
void blocks_free(struct blocks *b);
AUTO_PTR(blocks)

MUST_USE const struct recording_head *blocks_head(const struct blocks *b);
/* What poll() may wait on; -1 for a regular file. */
MUST_USE int blocks_fd(const struct blocks *b);

/* Reads one block. 1: *ret_type, and its bytes (aligned to 8, valid until the next call); 0: `wait`
 * is false and the rest of it hasn't come yet. Errors: ENODATA (the file ends), EINVAL (damaged). */
MUST_USE int blocks_next(struct blocks *b, bool wait, uint32_t *ret_type,
			 const unsigned char **ret_bytes, size_t *ret_len, struct err *e);
