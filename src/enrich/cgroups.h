/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Names of cgroups (v2) by the kernel's id: path, systemd unit, container. Looked up by handle, kept in
 * a bounded cache, so that a cgroup that is gone keeps the name it had. One thread.
 */
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct cgroup_names {
	char *path;      /* "/system.slice/nginx.service" */
	char *unit;      /* "nginx.service"; NULL: none */
	char *container; /* first 12 digits of its id, or its name; NULL: none */
};

struct cgroups;
MUST_USE struct cgroups *cgroups_new(void);
void cgroups_free(struct cgroups *c);
AUTO_PTR(cgroups)

/* NULL when there is no such cgroup, or no cgroup v2. Valid until the next call. */
MUST_USE const struct cgroup_names *cgroups_get(struct cgroups *c, uint64_t id);

/* What a path says, for tests and for paths from elsewhere. Free the members. */
void cgroup_names_of(const char *path, struct cgroup_names *ret_names);
