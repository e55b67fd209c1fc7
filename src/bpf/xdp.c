/* SPDX-License-Identifier: BSD-2-Clause */
/* Links of XDP programs; BPF_PROG_TEST_RUN. */
#include "bpf/xdp.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>

#include "base/err.h"
#include "base/str.h"
#include "bpf/parts.h"
#include "bpf/pins.h"

enum { SETTLE_TRIES = 1000 }; /* ten seconds */

static const struct program_part *program_of(const struct object *o, const char *slot)
{
	vec_for_each(p, &o->programs)
		if (str_eq(p->told.slot, slot) && p->told.state == PROGRAM_USED)
			return p;
	return NULL;
}

/* That of an object that was adopted is found by where it is attached. The caller's. */
static int linked_program(const struct object *o)
{
	for (size_t i = 0; i < o->links_adopted; i++) {
		struct bpf_link_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = links_fd(&o->links, i);

		if (fd >= 0 && !bpf_link_get_info_by_fd(fd, &info, &len) &&
		    info.type == BPF_LINK_TYPE_XDP)
			return bpf_prog_get_fd_by_id(info.prog_id);
	}
	return -1;
}

bool xdp_is_linked(const struct object *o)
{
	auto_close int program = linked_program(o);

	return program >= 0;
}

/* The caller's. */
static int program_open(const struct object *o, const char *slot, int *ret_fd, struct err *e)
{
	const struct program_part *p = program_of(o, slot);
	int fd = p ? dup(bpf_program__fd(p->handle)) : linked_program(o);

	if (fd < 0) {
		fail(e, ENOENT, "'%s' is attached nowhere any more", o->name);
		return hint(e, "`sonda policy off`, then apply the policy again");
	}
	*ret_fd = fd;
	return 0;
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static void program_name(uint32_t id, char *name, size_t size)
{
	auto_close int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	str_copy(name, size, fd >= 0 && !bpf_prog_get_info_by_fd(fd, &info, &len) ? info.name : "");
}

int xdp_state_read(unsigned ifindex, struct xdp_state *ret_state, struct err *e)
{
	static const enum xdp_mode modes[] = {
		[XDP_ATTACHED_DRV] = XDP_MODE_NATIVE,
		[XDP_ATTACHED_SKB] = XDP_MODE_GENERIC,
		[XDP_ATTACHED_HW] = XDP_MODE_OFFLOAD,
		[XDP_ATTACHED_MULTI] = XDP_MODE_NATIVE,
	};
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	struct xdp_state state = { 0 };
	int code = bpf_xdp_query((int)ifindex, 0, &opts);

	if (code)
		return fail(e, -code, "XDP of interface %u: %s", ifindex, strerror(-code));
	state.mode = opts.attach_mode < ARRAY_LEN(modes) ? modes[opts.attach_mode] : XDP_MODE_NONE;
	state.program_id = opts.prog_id ? opts.prog_id : opts.drv_prog_id;
	if (state.program_id)
		program_name(state.program_id, state.program, sizeof(state.program));
	*ret_state = state;
	return 0;
}

/* What stands in the way, by name. */
static int is_taken(unsigned ifindex, struct err *e)
{
	char interface[IF_NAMESIZE] = "?";
	struct xdp_state state = { 0 };
	struct err why = { 0 };

	if_indextoname(ifindex, interface);
	(void)!xdp_state_read(ifindex, &state, &why);
	fail_as(e, EXIT_FAILED, EBUSY, "XDP on %s: the program '%s' (id %u) is attached there",
		interface, state.program, state.program_id);
	return hint(e,
		    "it is left alone; name the interfaces to guard by `on`, or detach it: "
		    "ip link set dev %s xdp off",
		    interface);
}

static bool is_at_interface(const struct bpf_link_info *info, const void *ifindex)
{
	return info->type == BPF_LINK_TYPE_XDP && info->xdp.ifindex == *(const unsigned *)ifindex;
}

/* From one frame to the next it is this program that decides. */
static bool link_taken_over(struct object *o, const char *slot, unsigned ifindex, int program)
{
	int fd = pins_aside_link(slot, is_at_interface, &ifindex);

	if (fd < 0 || bpf_link_update(fd, program, NULL)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	links_add_fd(&o->links, fd);
	return true;
}

/* What is attached. A program of this one's name that goes is waited for: the kernel lets go of a link a while
 * after its pin was removed. */
static int xdp_state_settled(unsigned ifindex, int program, struct xdp_state *ret_state,
			     struct err *e)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	uint32_t own = program_id(program);
	char name[sizeof(ret_state->program)];

	program_name(own, name, sizeof(name));
	for (int i = 0; i < SETTLE_TRIES; i++) {
		if (xdp_state_read(ifindex, ret_state, e) < 0)
			return -e->code;
		if (!ret_state->program_id || ret_state->program_id == own ||
		    !str_eq(ret_state->program, name) || pins_are_aside())
			return 0;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* It is there in native mode, and is to be in generic. */
static int is_native(unsigned ifindex, struct err *e)
{
	char interface[IF_NAMESIZE] = "?";

	if_indextoname(ifindex, interface);
	fail(e, EBUSY,
	     "XDP on %s: it is attached in native mode, and must be in generic mode for this",
	     interface);
	return hint(e, "`sonda policy off`, then apply the policy again");
}

int xdp_attach(struct object *o, const char *slot, unsigned ifindex, bool generic, struct err *e)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = generic ? XDP_FLAGS_SKB_MODE : 0);
	struct xdp_state state = { 0 };
	struct err why = { 0 };
	auto_close int program = -1;
	int fd;

	if (program_open(o, slot, &program, e) < 0)
		return -e->code;
	if (!xdp_state_settled(ifindex, program, &state, &why) && state.program_id) {
		if (state.program_id != program_id(program) &&
		    !link_taken_over(o, slot, ifindex, program))
			return is_taken(ifindex, e);
		return generic && state.mode != XDP_MODE_GENERIC ? is_native(ifindex, e) : 0;
	}
	fd = bpf_link_create(program, (int)ifindex, BPF_XDP, &opts);
	if (fd < 0 && !generic && errno != EBUSY && errno != EEXIST) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(program, (int)ifindex, BPF_XDP, &opts);
	}
	if (fd < 0 && (errno == EBUSY || errno == EEXIST))
		return is_taken(ifindex, e);
	if (fd < 0) {
		char interface[IF_NAMESIZE] = "?";
		int code = errno;

		if_indextoname(ifindex, interface);
		return fail(e, code, "XDP on %s: %s", interface, strerror(code));
	}
	links_add_fd(&o->links, fd);
	return 0;
}

int xdp_run_many(const struct object *o, const char *slot, const void *frame, size_t size,
		 unsigned repeat, uint32_t *ret_action, uint32_t *ret_ns, struct err *e)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)size,
		    .repeat = (int)repeat);
	auto_close int fd = -1;

	if (program_open(o, slot, &fd, e) < 0)
		return -e->code;
	if (bpf_prog_test_run_opts(fd, &opts))
		return fail(e, errno, "running '%s' on a frame of %zu bytes: %s", slot, size,
			    strerror(errno));
	*ret_action = opts.retval;
	*ret_ns = opts.duration;
	return 0;
}

int xdp_run(const struct object *o, const char *slot, const void *frame, size_t size,
	    uint32_t *ret_action, struct err *e)
{
	uint32_t took_ns;

	return xdp_run_many(o, slot, frame, size, 1, ret_action, &took_ns, e);
}

int program_run(int program_fd, const void *frame, size_t size, struct err *e)
{
	return program_run_in(program_fd, frame, size, NULL, 0, e);
}

int program_run_in(int program_fd, const void *frame, size_t size, const void *context,
		   size_t context_size, struct err *e)
{
	uint32_t took_ns;

	return program_run_many(program_fd, frame, size, context, context_size, 1, &took_ns, e);
}

int program_run_many(int program_fd, const void *frame, size_t size, const void *context,
		     size_t context_size, unsigned repeat, uint32_t *ret_ns, struct err *e)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)size,
		    .repeat = (int)repeat, .ctx_in = context, .ctx_size_in = (__u32)context_size);

	if (bpf_prog_test_run_opts(program_fd, &opts))
		return fail(e, errno, "running the guard on a frame of %zu bytes: %s", size,
			    strerror(errno));
	*ret_ns = opts.duration;
	return 0;
}
