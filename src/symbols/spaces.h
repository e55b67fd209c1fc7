/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What each process had mapped where and when: from /proc/PID/maps, then kept true by what the kernel
 * tells of forks, execs and mappings, so that an address of a process that has ended still finds its
 * file. Only executable mappings. Bounded: the processes longest unasked for go first. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct files;
struct mapped_file;
struct spaces;
struct symtab;

/* `files` is borrowed and must outlive it. */
MUST_USE struct spaces *spaces_new(struct files *files);
void spaces_free(struct spaces *s);
AUTO_PTR(spaces)

/* Reads what all processes have mapped now. Errors: of reading /proc. */
MUST_USE int spaces_prime(struct spaces *s, struct err *e);

/* What the kernel tells; times are CLOCK_BOOTTIME. */
void spaces_fork(struct spaces *s, uint32_t pid, uint32_t ppid, uint64_t at_ns);
void spaces_exec(struct spaces *s, uint32_t pid, uint64_t at_ns);
struct mapping_told {
	uint32_t pid;
	uint32_t major, minor;
	uint64_t at_ns, start, bytes, offset, inode;
	const char *path;
	size_t path_len;
};
void spaces_map(struct spaces *s, const struct mapping_told *told);

/* The file mapped at an address then, and the place in it; NULL: not known. Reads /proc for a process
 * that nobody told of. Valid until the next call of another function. */
MUST_USE struct mapped_file *spaces_find(struct spaces *s, uint32_t pid, uint64_t at_ns,
					 uint64_t address, uint64_t *ret_offset);

/* The names that a process wrote down of the code it made (/tmp/perf-PID.map); NULL: none. Read again when
 * `address` isn't in it and the file has changed. */
MUST_USE struct symtab *spaces_perf_map(struct spaces *s, uint32_t pid, uint64_t address);
