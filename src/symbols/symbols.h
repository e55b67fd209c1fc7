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
