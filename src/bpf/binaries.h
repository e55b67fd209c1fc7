/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Functions of programs and libraries as users name them, and where in the file they are. Files are
 * foreign input. Any thread. */
#include <limits.h>
#include <stdint.h>

#include "base/attr.h"

struct binary_place {
	char path[PATH_MAX];
	uint64_t offset; /* in the file */
};

/*
 * `binary`: a path, a library's file name ("libc.so.6": LD_LIBRARY_PATH, the usual directories) or a
 * program's (PATH). `place`: "function", "function@VERSION", each with "+0x10" behind it, or "0x1130" in
 * the file. 0, or -ENOENT: one of the two is not there; -ENOTUNIQ: several functions have that name;
 * -ENOEXEC: no ELF file; those of open(2).
 */
MUST_USE int binary_place_find(const char *binary, const char *place, struct binary_place *ret);
