/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Which program each process ran at which time: primed from /proc, then kept true by fork and exec
 * events. A process is its pid and start time, so a number that is used again is another process.
 * Bounded: the processes longest unasked for go first. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct processes;
struct strbuf;

/* A program: shared by the processes that run it. */
struct image {
	unsigned users;
	char *exe;  /* absolute path; NULL: not known (a kernel thread) */
	char *args; /* NUL-separated */
	uint32_t args_len;
};

MUST_USE struct processes *processes_new(size_t max_count);
void processes_free(struct processes *p);
AUTO_PTR(processes)

/* Reads what runs now from /proc. Errors: of reading /proc. */
MUST_USE int processes_prime(struct processes *p, struct err *e);

/* What process.image tells. `start_ns`: CLOCK_BOOTTIME. */
void processes_fork(struct processes *p, uint32_t pid, uint64_t start_ns, uint32_t ppid,
		    const char comm[static 16]);
void processes_exec(struct processes *p, uint32_t pid, uint64_t start_ns, uint32_t ppid,
		    const char comm[static 16], uint64_t at_ns, const char *exe, size_t exe_len,
		    const char *args, size_t args_len);

/* The program that ran at `at_ns`, or NULL when it is not known. Asks /proc for a process that nobody
 * told of. Valid until the next call of another function. */
MUST_USE const struct image *processes_image(struct processes *p, uint32_t pid, uint64_t start_ns,
					     uint64_t at_ns);

/* "make(77) < bash(70) < sshd(1)": the parents, nearest first. Valid until the next call. */
MUST_USE const struct strbuf *processes_parents(struct processes *p, uint32_t ppid);
