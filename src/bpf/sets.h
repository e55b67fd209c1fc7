/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The kernel-side sets of the common filters (map "sonda_sets"): one map for all probes of a command,
 * made and filled before anything is attached, given to each by object_map_share(). Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/conf.h"
#include "base/attr.h"

struct err;

/* *ret_fd is the caller's. Errors: EPERM (EXIT_DENIED), ENOMEM. */
MUST_USE int sets_new(int *ret_fd, struct err *e);
/* `a` and `b` as abi/conf.h says for the set. Errors: E2BIG (16384 entries). */
MUST_USE int sets_add(int fd, enum filter_set set, uint64_t a, uint64_t b, struct err *e);
MUST_USE bool sets_has(int fd, enum filter_set set, uint64_t a, uint64_t b);
/* The 16 bytes of a command name as sets_add() wants them (cut to 15 and a NUL). */
void sets_comm(const char *comm, uint64_t *ret_a, uint64_t *ret_b);
