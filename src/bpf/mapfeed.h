/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What the kernel tells, by perf events without a sample, of forks, execs, executable mappings and BPF
 * programs that come: on all kernels, without a probe. One buffer a CPU, merged by time. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct mapfeed;

enum mapfeed_what { MAPFEED_FORK, MAPFEED_EXEC, MAPFEED_MAP, MAPFEED_PROGRAM };

struct mapfeed_event {
	enum mapfeed_what what;
	uint64_t at_ns; /* CLOCK_BOOTTIME */
	uint32_t pid, ppid;
	/* MAPFEED_MAP, and of MAPFEED_PROGRAM start, bytes and name */
	uint64_t start, bytes, offset, inode;
	uint32_t major, minor;
	const char *name; /* path, or name of the program; until the function returns */
	size_t name_len;
};
typedef void mapfeed_fn(const struct mapfeed_event *event, void *ctx);

/* Watches from now on. Errors: those of perf_event_open (EACCES, ENOENT ...), ENOMEM. */
MUST_USE int mapfeed_open(struct mapfeed **ret, struct err *e);
void mapfeed_free(struct mapfeed *f);
AUTO_PTR(mapfeed)

/* Descriptors to wait on: readable when a quarter of a buffer is full. One a CPU that is online. */
MUST_USE unsigned mapfeed_fd_count(const struct mapfeed *f);
MUST_USE int mapfeed_fd(const struct mapfeed *f, unsigned nth);

/* Hands over what was told up to `until_ns` (CLOCK_BOOTTIME, taken before the call), in order of time. What
 * is newer waits for the next call: of a fork on one CPU and an exec on another, the buffer of the fork may
 * have been read before. */
void mapfeed_drain(struct mapfeed *f, uint64_t until_ns, mapfeed_fn *fn, void *ctx);
/* Records that found no room. */
MUST_USE uint64_t mapfeed_lost(const struct mapfeed *f);
