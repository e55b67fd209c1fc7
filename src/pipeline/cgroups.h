/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Cgroups v2 by name: a path, or a systemd unit. Any thread. */
#include <stdint.h>

#include "base/attr.h"

struct err;

/* The kernel's id of the cgroup: `name` is an absolute path, a path from the root of the cgroup
 * hierarchy ("/system.slice/nginx.service", "system.slice/..."), or the name of a unit anywhere in it
 * ("nginx.service"). Errors: ENOENT, ENOTSUP (no cgroup v2 is mounted). */
MUST_USE int cgroup_find(const char *name, uint64_t *ret_id, struct err *e);
