/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Functions of the kernel, its modules and BPF programs, from /proc/kallsyms. One thread. */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "symbols/symtab.h"

struct kernel_symbols;

/* Never NULL. Reads nothing yet. */
MUST_USE struct kernel_symbols *kernel_symbols_new(void);
void kernel_symbols_free(struct kernel_symbols *k);
AUTO_PTR(kernel_symbols)

/* A BPF program (or a trampoline) came to be: the kernel tells. It keeps its name when it has gone. */
void kernel_symbols_program(struct kernel_symbols *k, uint64_t start, uint32_t bytes,
			    const char *name, size_t len);
/* The function at an address. Reads anew, at most once a second, when an address has none: of a module
 * that came later. */
MUST_USE bool kernel_symbols_find(struct kernel_symbols *k, uint64_t address, struct symbol *ret);
/* Why there are no names: a sentence; NULL: there are, or nobody has asked. */
MUST_USE const char *kernel_symbols_reason(const struct kernel_symbols *k);

/* The functions in the text of a kallsyms. */
MUST_USE struct symtab *kallsyms_parse(const char *text, size_t len);
