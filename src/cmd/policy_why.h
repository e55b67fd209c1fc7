/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Which rule of the policy in force decides about an operation or a packet. */
#include "base/attr.h"
#include "base/opt.h"

struct enforce;
struct err;
struct object;
struct packet_asked;

struct policy_who {
	const char *exe, *user, *cgroup; /* NULL: not said */
};
/* "why read /etc/shadow": words[0] is the operation. Returns EXIT_OK or -errno. */
MUST_USE int policy_why_file(const struct enforce *f, char **words, size_t count,
			     const struct policy_who *who, struct err *e);
/* "why packet out tcp 203.0.113.7:4000 192.0.2.1:22 syn on eth0": words behind "packet". */
MUST_USE int policy_why_parse(char **words, size_t count, struct packet_asked *ret_asked,
			      struct err *e);
/* `guard` is that of the place, in force. */
MUST_USE int policy_why_packet(const struct enforce *f, const struct object *guard,
			       const struct packet_asked *asked, struct err *e);
