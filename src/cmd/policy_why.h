/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Which rule of the policy in force decides about an operation or a packet. */
#include "base/attr.h"
#include "base/opt.h"

struct enforce;
struct err;
struct object;

struct policy_who {
	const char *exe, *user, *cgroup; /* NULL: not said */
};
/* "why read /etc/shadow": words[0] is the operation. Returns EXIT_OK or -errno. */
MUST_USE int policy_why_file(const struct enforce *f, char **words, size_t count,
			     const struct policy_who *who, struct err *e);
/* "why packet tcp 203.0.113.7:4000 192.0.2.1:22 syn on eth0": words behind "packet". `guard` is the packet
 * guard in force. */
MUST_USE int policy_why_packet(const struct enforce *f, const struct object *guard, char **words,
			       size_t count, struct err *e);
