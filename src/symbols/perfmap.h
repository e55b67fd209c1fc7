/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Names of code that a process made itself, as it wrote them into /tmp/perf-PID.map (by its own number, in
 * its own file system). Whatever it wrote is bounded. One thread.
 */
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct perfmap;
struct symtab;

/* Never NULL; reads nothing yet. */
MUST_USE struct perfmap *perfmap_new(uint32_t pid);
void perfmap_free(struct perfmap *m);
AUTO_PTR(perfmap)

/* The symbols, or NULL when there is no such file. Read again, at most twice a second, when `address` has
 * no name and the file has changed. */
MUST_USE struct symtab *perfmap_symbols(struct perfmap *m, uint64_t address);

/* The symbols of a perf map's text. */
MUST_USE struct symtab *perfmap_parse(const char *text, size_t len);
