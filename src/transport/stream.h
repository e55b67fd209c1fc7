/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Bytes in. A stream yields rows in batches, whatever stands behind it: the rings of live probes,
 * or a recording. Rows point into the stream's memory and live until the next batch.
 * One thread at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "schema/account.h"
#include "schema/schema.h"

struct err;
struct stream;

/* Called for each row of a batch, in order of time as far as the batch reaches.
 * 0: go on; anything else stops the batch there (the rest comes with the next one). */
typedef int row_fn(const struct row *r, void *ctx);

/* Losses that a stream tells itself; see tell_losses. */
typedef void loss_fn(const char *probe, const char *cause, uint64_t count, uint64_t at_ns,
		     void *ctx);

struct stream_ops {
	/* Hands over what is there, at most `limit` rows. Returns the number handed over, 0 when
	 * there is nothing now, or -errno. */
	int (*drain)(struct stream *s, unsigned limit, row_fn *fn, void *ctx, struct err *e);
	/* A descriptor that becomes readable when a batch is worth having; -1: none, call drain
	 * until it says 0 (a recording). */
	int (*poll_fd)(struct stream *s);
	/* No more rows will ever come (the end of a recording). */
	bool (*ended)(struct stream *s);
	/* The accounts, one a probe. The array is the stream's, valid until the next call. */
	const struct account *(*accounts)(struct stream *s, size_t *ret_count);
	/* From now on `fn` gets the losses that stand among the rows, in their place, and the accounts
	 * need not be compared. NULL: the accounts tell (live probes). */
	void (*tell_losses)(struct stream *s, loss_fn *fn, void *ctx);
	/* The schemas that are known before the first row. NULL: the caller knows them. */
	const struct schema *const *(*schemas)(struct stream *s, size_t *ret_count);
	/* CLOCK_REALTIME - CLOCK_BOOTTIME where the rows were stamped. */
	int64_t (*wall_offset_ns)(struct stream *s);
	void (*free)(struct stream *s);
};

/* The first member of each implementation. */
struct stream {
	const struct stream_ops *ops;
};

static inline void stream_free(struct stream *s)
{
	if (s)
		s->ops->free(s);
}
