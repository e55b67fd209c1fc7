/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Values of a block of a recording, each written once and referred to by its place. The table is small
 * and starts afresh with each block. One thread.
 */
#include <stdint.h>

#include "base/attr.h"
#include "schema/value.h"

struct strbuf;

enum { INTERN_SLOTS = 8192 };

struct interned {
	uint64_t hash;
	uint32_t at, bytes; /* of struct recording_value and what follows, in the block */
	uint32_t ref;       /* 0: free */
};

struct intern {
	struct interned *slots;
	uint32_t count;
};
void intern_done(struct intern *t);
/* Forgets all, for a new block. */
void intern_reset(struct intern *t);
/* So full that a new block is due. */
MUST_USE bool intern_full(const struct intern *t);

/* The reference of a value, which is appended to `block` as an item if it isn't there yet; 0 for
 * VALUE_NONE. */
MUST_USE uint32_t intern_value(struct intern *t, struct strbuf *block, struct value v);
