/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Programs at hooks of netfilter (6.4), by links of an object, to be pinned with it. One thread.
 */
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

/* Attaches the program to a hook (NF_INET_...) for IPv4 and IPv6; nothing happens where a link of the object's
 * is already. Errors: EBUSY (something else has that priority: it is left alone), those of bpf(2). */
MUST_USE int nf_attach(struct object *o, int program_fd, unsigned hook, int priority,
		       struct err *e);
/* Takes the program's links of other priorities off their hooks. */
void nf_detach_others(const struct object *o, int program_fd, int priority);
