/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Programs at hooks of netfilter (6.4), by links of an object, to be pinned with it. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

/* Attaches the program to a hook (NF_INET_...) for IPv4 and IPv6; nothing happens where a link of the object's
 * is already. A link that was kept aside (pins.h) in `dir` and has the place is left there, or with `take` taken away.
 * Errors: EBUSY (something else has that priority: it is left alone), those of bpf(2). */
MUST_USE int nf_attach(struct object *o, const char *dir, int program_fd, unsigned hook,
		       int priority, bool take, struct err *e);
/* For how many of NF_FAMILIES the object's links stand there. Where none does the program stands for a moment. */
MUST_USE unsigned nf_standing(const struct object *o, int program_fd, unsigned hook, int priority);
enum { NF_FAMILIES = 2 };
/* Takes the program's links of other priorities off their hooks, and their pins away, which are in `dir`. */
void nf_detach_others(const struct object *o, const char *dir, int program_fd, int priority);
