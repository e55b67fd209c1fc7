/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Names for the addresses of stacks: of the kernel, of processes that run, and of those that have ended,
 * as far as they were told of. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct kernel_symbols;
struct spaces;
struct strbuf;
struct symbols;

/* Never NULL. */
MUST_USE struct symbols *symbols_new(void);
void symbols_free(struct symbols *s);
AUTO_PTR(symbols)

/* What is kept true by what the kernel tells; both are s's. */
MUST_USE struct spaces *symbols_spaces(struct symbols *s);
MUST_USE struct kernel_symbols *symbols_kernel(struct symbols *s);

/* Who takes in what the kernel has told by now; asked before a stack is named that is not older than
 * symbols_fresh() said. */
typedef void symbols_refresh_fn(void *ctx);
void symbols_refresh_by(struct symbols *s, symbols_refresh_fn *fn, void *ctx);
/* All that was told until then (CLOCK_BOOTTIME) is taken in. */
void symbols_fresh(struct symbols *s, uint64_t until_ns);

struct stack_told {
	uint32_t pid; /* whose addresses; 0: the kernel's */
	uint64_t at_ns;
	const unsigned char *frames; /* u64 each, perhaps unaligned */
	size_t count;
	bool is_cut;
};

/* Appends the frames' names, innermost first, with ';' between them: "read_page+0x1c [xfs]" (`offsets`) or
 * "read_page [xfs]"; what has no name is "libc.so.6+0x2a1b0" or "0x7f12a0" ("libc.so.6", "[unknown]"), and is counted. */
void symbols_stack(struct symbols *s, const struct stack_told *stack, bool offsets,
		   struct strbuf *out);

struct symbol_counts {
	uint64_t frames, unknown;
	const char *
		reason; /* why the kernel's have no names; NULL: they have, or none was asked for */
};
MUST_USE struct symbol_counts symbols_counts(const struct symbols *s);
