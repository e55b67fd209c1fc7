/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of filter, at hooks of netfilter: filling its maps, attaching it. */
#include "enforce/packet.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/elements.h"
#include "bpf/nf.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "bpf/xdp.h"
#include "enforce/guard.h"

#define DIR "filter"

static unsigned hook_of(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_AT, 0);
	struct err ignored = { 0 };
	unsigned hook = 0;

	if (c)
		(void)!policy_hook_parse(c->values.at[0].text, &hook, &ignored);
	return hook;
}

/* ---- which program stands for which priority ---- */

struct slots {
	struct filter_slot at[FILTER_SLOTS];
};

static int slot_of(const struct slots *slots, int priority)
{
	for (int i = 0; i < FILTER_SLOTS; i++)
		if (slots->at[i].generations && slots->at[i].priority == priority)
			return i;
	return -1;
}

static void slots_read(const struct object *o, struct slots *ret)
{
	int map = object_map_fd(o, "filter_slots");

	*ret = (struct slots){ 0 };
	for (uint32_t i = 0; i < FILTER_SLOTS; i++)
		(void)!map_get_value(map, &i, &ret->at[i]);
}

static int slots_write(const struct object *o, const struct slots *slots, struct err *e)
{
	int map = object_map_fd(o, "filter_slots");

	for (uint32_t i = 0; i < FILTER_SLOTS; i++)
		if (map_set(map, "the priorities", &i, &slots->at[i], e) < 0)
			return -e->code;
	return 0;
}

static int slot_take(struct slots *slots, const struct policy *p, const struct policy_rule *r,
		     unsigned gen, struct err *e)
{
	int slot = slot_of(slots, policy_rule_priority(r));

	for (int i = 0; slot < 0 && i < FILTER_SLOTS; i++)
		if (!slots->at[i].generations)
			slot = i;
	if (slot < 0) {
		fail_as(e, EXIT_POLICY, E2BIG,
			"rules at more than %d priorities, with those of the policy before",
			FILTER_SLOTS);
		return policy_wrap(p, policy_clause_find(r, WORD_AT, 0)->at, e);
	}
	slots->at[slot].priority = policy_rule_priority(r);
	slots->at[slot].generations |= 1u << gen;
	return 0;
}

static int slots_assign(const struct object *o, const struct policy *p, unsigned gen,
			struct slots *slots, struct err *e)
{
	slots_read(o, slots);
	for (unsigned i = 0; i < FILTER_SLOTS; i++)
		slots->at[i].generations &= ~(1u << gen);
	if (p)
		vec_for_each(r, &p->rules)
			if (r->domain == POLICY_FILTER && slot_take(slots, p, r, gen, e) < 0)
				return -e->code;
	return slots_write(o, slots, e);
}

static unsigned post_of(const struct policy_rule *r, const void *ctx)
{
	return (unsigned)slot_of(ctx, policy_rule_priority(r)) * PACKET_PLACES + PACKET_PREROUTING +
	       hook_of(r);
}

static int filter_fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	struct slots slots;
	struct packet_scope scope = { .domain = POLICY_FILTER,
				      .posts = FILTER_SLOTS * PACKET_PLACES,
				      .post_of = post_of,
				      .ctx = &slots };
	struct packet_tables t = { 0 };
	int code;

	if (slots_assign(o, p, gen, &slots, e) < 0 ||
	    (p && packet_tables_make(p, &scope, &t, e) < 0))
		return -e->code;
	code = packet_tables_write(o, gen, &t, e);
	packet_tables_done(&t);
	return code;
}

/* ---- attaching ---- */

static char *program_name(unsigned slot)
{
	return xasprintf("filter_slot_%u", slot);
}

/* As they were loaded now: pinned, and the way to the one that decides laid. */
static int programs_pin(const struct object *o, struct err *e)
{
	int rules = object_program_fd(o, "filter_rules");
	uint32_t zero = 0;

	if (rules < 0)
		return 0;
	if (pins_make(DIR, e) < 0 ||
	    map_set(object_map_fd(o, "filter_jump"), "the jump", &zero, &rules, e) < 0)
		return -e->code;
	for (unsigned slot = 0; slot < FILTER_SLOTS; slot++) {
		auto_free char *name = program_name(slot);
		auto_free char *pin = xasprintf(DIR "/%s", name);

		if (!pins_have(pin) && pin_fd(object_program_fd(o, name), pin, e) < 0)
			return -e->code;
	}
	return 0;
}

static int program_open(unsigned slot, int *ret_fd, struct err *e)
{
	auto_free char *name = program_name(slot);
	auto_free char *pin = xasprintf(DIR "/%s", name);

	return pin_open(pin, ret_fd, e);
}

static int rule_attach(struct object *o, const struct slots *slots, const struct policy *p,
		       const struct policy_rule *r, bool take, struct err *e)
{
	int priority = policy_rule_priority(r), slot = slot_of(slots, priority);
	auto_close int program = -1;

	if (program_open((unsigned)slot, &program, e) < 0)
		return -e->code;
	nf_detach_others(o, DIR, program, priority);
	if (nf_attach(o, DIR, program, hook_of(r), priority, take, e) < 0)
		return policy_wrap(p, policy_clause_find(r, WORD_AT, 0)->at, e);
	return 0;
}

static int filter_attach(struct object *o, const struct policy *p, struct err *e)
{
	struct slots slots;

	if (programs_pin(o, e) < 0)
		return -e->code;
	slots_read(o, &slots);
	/* what is taken from another version comes last, when nothing else can be refused */
	for (int take = 0; take < 2; take++)
		vec_for_each(r, &p->rules)
			if (r->domain == POLICY_FILTER && rule_attach(o, &slots, p, r, take, e) < 0)
				return -e->code;
	return 0;
}

static bool whole(const struct object *o)
{
	struct err ignored = { 0 };

	(void)o;
	for (unsigned slot = 0; slot < FILTER_SLOTS; slot++) {
		auto_close int program = -1;

		if (program_open(slot, &program, &ignored) < 0)
			return false;
	}
	return true;
}

static void standing(const struct object *o, const struct policy *p, const struct policy_rule *r,
		     struct guard_standing *ret)
{
	int priority = policy_rule_priority(r), slot;
	struct err ignored = { 0 };
	auto_close int program = -1;
	struct slots slots;

	(void)p;
	*ret = (struct guard_standing){ .places = NF_FAMILIES };
	slots_read(o, &slots);
	slot = slot_of(&slots, priority);
	if (slot >= 0 && program_open((unsigned)slot, &program, &ignored) == 0)
		ret->held = nf_standing(o, program, hook_of(r), priority);
}

/* ---- telling ---- */

static void filter_strength(const struct object *o, const struct policy_rule *r, struct strbuf *out)
{
	static const char *const hooks[] = { "prerouting", "input", "forward", "output",
					     "postrouting" };

	(void)o;
	strbuf_appendf(out, "%s (netfilter %s, priority %d)", policy_verdict_name(r->verdict),
		       hooks[hook_of(r)], policy_rule_priority(r));
}

int filter_run(const struct object *o, unsigned hook, int priority, bool is_v6, const void *frame,
	       size_t size, struct err *e)
{
	struct filter_state state = { .hook = (uint8_t)hook, .family = is_v6 ? 10 : 2 };
	auto_close int program = -1;
	struct slots slots;
	int slot;

	slots_read(o, &slots);
	slot = slot_of(&slots, priority);
	if (slot < 0)
		return fail(e, ENOENT, "no rule is at priority %d", priority);
	if (program_open((unsigned)slot, &program, e) < 0)
		return -e->code;
	return program_run_in(program, frame, size, &state, sizeof(state), e);
}

int filter_program(const struct object *o, const struct policy_rule *r, int *ret_fd,
		   struct filter_state *ret_state, struct err *e)
{
	int rules = object_program_fd(o, "filter_rules"), slot;
	auto_free char *name = NULL;
	struct slots slots;
	uint32_t zero = 0;

	slots_read(o, &slots);
	slot = slot_of(&slots, policy_rule_priority(r));
	name = program_name((unsigned)max(slot, 0));
	*ret_fd = object_program_fd(o, name);
	*ret_state = (struct filter_state){ .hook = (uint8_t)hook_of(r), .family = 2 };
	if (rules < 0 || slot < 0 || *ret_fd < 0)
		return fail(e, ENOENT, "the program is not loaded");
	return map_set(object_map_fd(o, "filter_jump"), "the jump", &zero, &rules, e);
}

static int filter_counts(const struct object *o, guard_count_fn *fn, void *ctx, struct err *e)
{
	return packet_counts_at(o, "at hooks: ", fn, ctx, e);
}

const struct guard guard_filter = {
	.name = "filter",
	.domain = POLICY_FILTER,
	.fill = filter_fill,
	.attach = filter_attach,
	.counts = filter_counts,
	.strength = filter_strength,
	.standing = standing,
	.whole = whole,
	.beside = guard_beside_anywhere,
	.cost = filter_cost,
};
