/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * All BPF programs, maps and links of this machine with the processes that hold them, for `sonda show
 * bpf`: by id from the kernel, holders from the descriptors of all processes. One thread.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;

enum listed_what { LISTED_PROGRAM, LISTED_MAP, LISTED_LINK, LISTED_COUNT };

struct listed {
	enum listed_what what;
	uint32_t id;
	char type[24];         /* "tracing", "ringbuf", "perf_event" */
	char name[64];         /* "" where it has none */
	uint32_t program;      /* link: of which program */
	uint32_t max_entries;  /* map */
	uint64_t memory_bytes; /* as the kernel accounts it */
	uint64_t loaded_at_ns; /* program: CLOCK_BOOTTIME */
	uint32_t uid;          /* program: who loaded it */
	pid_t pid;             /* first process that holds it; 0: pinned, attached or used only */
	uint32_t holders;      /* descriptors */
};

/* Calls `fn` for each, programs first, until it returns non-zero, which is returned. Errors: EPERM
 * (EXIT_DENIED). Links are told from 5.8 on. */
typedef int listed_fn(const struct listed *l, void *ctx);
MUST_USE int listing_read(listed_fn *fn, void *ctx, struct err *e);
