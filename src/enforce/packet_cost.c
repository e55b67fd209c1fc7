/* SPDX-License-Identifier: BSD-2-Clause */
/* What a packet costs in each guard of packets: their programs, loaded on trial, run on one that nobody sent. */
#include "enforce/packet.h"

#include <errno.h>

#include "base/err.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/xdp.h"
#include "enforce/guard.h"

enum { COST_RUNS = 20000 };

/* Generation 0 decides, of what is run here: the programs are not attached. */
static int decide(const struct object *o, struct err *e)
{
	uint64_t in_force = POLICY_HOLDS(0);
	uint32_t zero = 0;

	return map_set(object_map_fd(o, "policy_state"), "the state", &zero, &in_force, e);
}

static int run(const struct object *o, int program, const struct filter_state *state,
	       struct guard_cost *ret_cost, struct err *e)
{
	uint8_t frame[PACKET_SAMPLE_MAX];
	size_t size = packet_sample(frame);
	uint32_t ns;

	if (decide(o, e) < 0 || program_run_many(program, frame, size, state,
						 state ? sizeof(*state) : 0, COST_RUNS, &ns, e) < 0)
		return -e->code;
	*ret_cost = (struct guard_cost){ .ns = ns, .of = "a packet" };
	return 0;
}

int packet_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		struct err *e)
{
	uint8_t frame[PACKET_SAMPLE_MAX];
	size_t size = packet_sample(frame);
	uint32_t action, ns;

	(void)p;
	if (decide(o, e) < 0 ||
	    xdp_run_many(o, "packet", frame, size, COST_RUNS, &action, &ns, e) < 0)
		return -e->code;
	*ret_cost = (struct guard_cost){ .ns = ns, .of = "a packet" };
	return 0;
}

/* A program that runs sends copies where the rules say. */
int traffic_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		 struct err *e)
{
	bool out = false;
	int program;

	vec_for_each(r, &p->rules) {
		if (r->domain == POLICY_TRAFFIC && r->verdict == POLICY_MIRROR)
			return fail(e, ENOTSUP, "a trial would send copies, as rule '%s' says",
				    r->name);
		out |= r->domain == POLICY_TRAFFIC && policy_clause_find(r, WORD_OUT, 0);
	}
	program = object_program_fd(o, out ? "traffic_out" : "traffic_in");
	return program < 0 ? fail(e, ENOENT, "the program is not loaded")
			   : run(o, program, NULL, ret_cost, e);
}

int filter_cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		struct err *e)
{
	vec_for_each(r, &p->rules) {
		struct filter_state state;
		int program;

		if (r->domain != POLICY_FILTER)
			continue;
		if (filter_program(o, r, &program, &state, e) < 0)
			return -e->code;
		return run(o, program, &state, ret_cost, e);
	}
	return fail(e, ENOENT, "there is no rule");
}
