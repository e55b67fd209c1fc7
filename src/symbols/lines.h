/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Lines that are parsed here: of /proc/PID/maps, of /proc/kallsyms, of /tmp/perf-PID.map. The last are
 * written by whoever likes to; nothing is trusted. Nothing is copied. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* A line ends where the text does, or before a newline. *at is moved behind it; false: none is left. */
MUST_USE bool line_next(const char **at, const char *end, const char **ret_line, size_t *ret_len);

/* "7f1200000000-7f1200021000 r-xp 00001000 fe:01 4242  /usr/lib/libc.so.6" */
struct maps_line {
	uint64_t start, end, offset;
	bool executable;
	uint32_t major, minor;
	uint64_t inode;
	const char *path; /* "" where there is none */
	size_t path_len;
};
MUST_USE bool maps_line_parse(const char *line, size_t len, struct maps_line *ret);

/* "ffffffffc0a01000 t xfs_read\t[xfs]", "7f1200000000 1a0 Interpreter:run": size 0 in kallsyms. */
struct symbol_line {
	uint64_t start, size;
	char type; /* of kallsyms: 't', 'T' ...; 0 in a perf map */
	const char *name, *module;
	size_t name_len, module_len;
};
MUST_USE bool kallsyms_line_parse(const char *line, size_t len, struct symbol_line *ret);
MUST_USE bool perfmap_line_parse(const char *line, size_t len, struct symbol_line *ret);
