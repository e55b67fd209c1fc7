/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * All BPF programs and maps of this machine, whoever loaded them. For `sonda cost`. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;

struct program_holder {
	pid_t pid;
	char comm[16];
};

struct program {
	uint32_t id;
	char type[24]; /* "tracing" */
	char name[64]; /* from BTF where there is one: the kernel's own is cut at 15 */
	uint64_t run_time_ns, run_count; /* since loaded, only while statistics were on */
	uint64_t recursion_misses;
	uint64_t loaded_at_ns; /* CLOCK_BOOTTIME */
	uint32_t insns;        /* verified; 0 before 5.16 */
	uint64_t code_bytes;   /* program memory */
	uint64_t map_bytes;    /* of its maps; a map of n programs counts 1/n in each */
	struct program_holder
		holder; /* first process that holds it; pid 0: pinned or attached only */
	uint32_t holders;
};

struct programs {
	struct program *at;
	size_t len;
	uint64_t map_bytes; /* all maps of the machine */
	uint32_t map_count;
	uint64_t taken_at_ns; /* CLOCK_BOOTTIME */
};

/* Errors: EPERM (EXIT_DENIED). */
MUST_USE int programs_read(struct programs *ret_programs, struct err *e);
void programs_done(struct programs *p);
/* By id, or NULL. */
MUST_USE const struct program *programs_find(const struct programs *p, uint32_t id);

/* Switches the kernel's run-time statistics on until the descriptor is closed, by BPF_ENABLE_STATS: the
 * kernel counts holders, so nobody else's are switched off. They cost about 80 ns a run: short windows.
 * Errors: EPERM (EXIT_DENIED), ENOTSUP (EXIT_KERNEL; before 5.8). */
MUST_USE int programs_stats_on(int *ret_fd, struct err *e);
/* ns that an empty program reports per run on this machine: the clock itself, to be subtracted. */
MUST_USE int programs_stats_floor(uint64_t *ret_ns, struct err *e);
