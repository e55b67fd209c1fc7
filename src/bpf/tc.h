/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * TC on network interfaces: a loaded program attached to what comes in or goes out. By a link (TCX, 6.6), or
 * before that by a filter of the clsact queueing discipline, which goes on when all descriptors are
 * closed, until tc_detach(). Programs of others stay as they are. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

enum tc_way { TC_NONE, TC_TCX, TC_CLSACT };

/* Attaches the program before all others that are there; by TCX the link is one of the object's, to be
 * pinned with it. Nothing happens when it is there already. *ret_made: the queueing discipline had to be
 * made. Errors: EXIT_KERNEL (no clsact either), those of bpf(2) and netlink(7). */
MUST_USE int tc_attach(struct object *o, int program_fd, unsigned ifindex, bool out, bool *ret_made,
		       struct err *e);
/* How the program is attached there: by a link of the object's, or a filter. */
MUST_USE enum tc_way tc_attached(const struct object *o, int program_fd, unsigned ifindex,
				 bool out);
/* Takes the filters that run it away. */
void tc_detach(int program_fd, unsigned ifindex, bool out);
/* Takes clsact off the interface if nobody uses it. true: somebody does. */
bool tc_unmake(unsigned ifindex);
