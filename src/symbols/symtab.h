/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A table of symbols: addresses to names, of the kernel, of a file, of code that a process made itself.
 * Names are demangled when they are first asked for. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct symtab;

enum { SYMTAB_MAX = 4 * 1024 * 1024 }; /* symbols; further ones are left out */

struct symbol {
	const char *name;   /* until the next call */
	const char *module; /* "xfs", "bpf"; "" when there is none */
	uint64_t start;
};

MUST_USE struct symtab *symtab_new(void);
void symtab_free(struct symtab *t);
AUTO_PTR(symtab)

/* Adds a symbol; `size` 0: up to the next one. Of several at one address that with the lowest `rank` is
 * kept. `module` may be "". */
void symtab_add(struct symtab *t, uint64_t start, uint64_t size, const char *name, size_t len,
		const char *module, unsigned rank);
/* Of several at one address the one added last is kept: what was there before has gone. */
void symtab_later_wins(struct symtab *t);
/* Sorts; after it nothing is added any more. */
void symtab_finish(struct symtab *t);

MUST_USE size_t symtab_count(const struct symtab *t);
MUST_USE size_t symtab_bytes(const struct symtab *t);
/* False: no symbol holds the address. */
MUST_USE bool symtab_find(struct symtab *t, uint64_t address, struct symbol *ret);
