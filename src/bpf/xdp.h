/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * XDP on network interfaces: attaching one loaded program to several, what is attached, running a
 * program on a made-up frame. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

/* Attaches the program in use of `slot` (one tagged LATER) to the interface: native where its driver
 * can, else, or when `generic` is asked for, generic. Nothing happens when it is there already. Errors:
 * EBUSY (another program is attached: its name, it is left alone; or this one, but native), those of bpf(2). */
MUST_USE int xdp_attach(struct object *o, const char *slot, unsigned ifindex, bool generic,
			struct err *e);

enum xdp_mode { XDP_MODE_NONE, XDP_MODE_NATIVE, XDP_MODE_GENERIC, XDP_MODE_OFFLOAD };
/* Has the object, which was adopted, a link by which its program is found? */
MUST_USE bool xdp_is_linked(const struct object *o);

struct xdp_state {
	enum xdp_mode mode;
	uint32_t program_id;
	char program[16]; /* its name */
};
/* Errors: those of netlink(7). */
MUST_USE int xdp_state_read(unsigned ifindex, struct xdp_state *ret_state, struct err *e);

/* Runs the program of `slot` once on a frame, which it may change in a copy only. */
MUST_USE int xdp_run(const struct object *o, const char *slot, const void *frame, size_t size,
		     uint32_t *ret_action, struct err *e);
/* The same `repeat` times; *ret_ns is what a run took. */
MUST_USE int xdp_run_many(const struct object *o, const char *slot, const void *frame, size_t size,
			  unsigned repeat, uint32_t *ret_action, uint32_t *ret_ns, struct err *e);

/* Runs any program that takes packets on a frame, once. Errors: of the kernel. */
MUST_USE int program_run(int program_fd, const void *frame, size_t size, struct err *e);
/* The same with what it is handed besides, as its type wants it. */
MUST_USE int program_run_in(int program_fd, const void *frame, size_t size, const void *context,
			    size_t context_size, struct err *e);
/* The same `repeat` times; *ret_ns is what a run took. */
MUST_USE int program_run_many(int program_fd, const void *frame, size_t size, const void *context,
			      size_t context_size, unsigned repeat, uint32_t *ret_ns,
			      struct err *e);
