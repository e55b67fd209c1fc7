/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * File systems of the kernel, reached whether they are mounted or not: a mount of our own is attached
 * to nothing, seen by nobody, and gone with its descriptor. Descriptors are kept for the process.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

/* Root of tracefs, borrowed. Errors: EPERM (EXIT_DENIED), ENODEV (kernel without; EXIT_KERNEL). */
MUST_USE int tracefs_fd(int *ret_fd, struct err *e);
/* Number of a classic tracepoint, "sched/sched_switch". Errors also: ENOENT (EXIT_KERNEL). */
MUST_USE int tracepoint_id(const char *name, uint64_t *ret_id, struct err *e);

/* Is there a classic tracepoint of that name, in whatever system? True when it can't be known. */
MUST_USE bool tracepoint_is_listed(const char *name);

/* Root of the cgroup v2 hierarchy, borrowed: where it is mounted, else by a mount of our own.
 * Errors: as tracefs_fd(). */
MUST_USE int cgroup_root_fd(int *ret_fd, struct err *e);

/* First line of a file in securityfs ("lsm", "lockdown"). False: can't be read. */
MUST_USE bool securityfs_line(const char *name, char *line, unsigned size);

/* The kernel's lockdown mode: "none", "integrity" or "confidentiality". */
void lockdown_mode(char *mode, unsigned size);
