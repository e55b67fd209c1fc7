/* SPDX-License-Identifier: BSD-2-Clause */
/* What guards in force tell besides their rules' counts. */
#include "enforce/enforce.h"

#include "base/err.h"
#include "base/str.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "enforce/guard.h"
#include "enforce/packet.h"
#include "enforce/state.h"

#include <net/if.h>

int part_look(struct enforce *f, const struct guard *g, struct part **ret_part, struct err *e)
{
	struct part *part = NULL;

	*ret_part = NULL;
	for (unsigned i = 0; i < f->part_count; i++)
		if (f->parts[i].guard == g)
			part = &f->parts[i];
	if (!part && pins_have(g->name)) {
		if (part_open(f, g, &part, e) < 0)
			return -e->code;
		if (object_adopt(part->object, g->name, e) < 0) {
			f->source->close(part->handle);
			f->part_count--;
			return wrap(e, "guard.%s", g->name);
		}
	}
	*ret_part = part;
	return 0;
}

int enforce_counts(struct enforce *f, enforce_count_fn *fn, void *ctx, struct err *e)
{
	for (const struct guard *const *g = guards; *g; g++) {
		struct part *part;

		if (!(*g)->counts)
			continue;
		if (part_look(f, *g, &part, e) < 0)
			return -e->code;
		if (part && (*g)->counts(part->object, fn, ctx, e) < 0)
			return wrap(e, "guard.%s", (*g)->name);
	}
	return 0;
}

struct telling {
	const struct enforce *f;
	enforce_flood_fn *fn;
	void *ctx;
};

/* Of rules that are in force. */
static void flood_tell(const struct guard_flood *flood, void *ctx)
{
	const struct telling *t = ctx;

	for (unsigned i = 0; i < t->f->state.policy->rules.len; i++) {
		struct enforce_rule rule;

		shared_read_rule(&t->f->shared, t->f->generation, i, &rule);
		if (rule.slot != flood->slot || !t->f->state.policy->rules.at[i].limit.drop_ns)
			continue;
		t->fn(&(struct enforce_flood){ .rule = t->f->state.policy->rules.at[i].name,
					       .of = flood->of,
					       .left_ns = flood->left_ns,
					       .packets = flood->packets,
					       .bytes = flood->bytes },
		      t->ctx);
		return;
	}
}

int enforce_floods(struct enforce *f, enforce_flood_fn *fn, void *ctx, struct err *e)
{
	struct telling telling = { f, fn, ctx };

	for (const struct guard *const *g = guards; f->state.in_force && *g; g++) {
		struct part *part;

		if (!(*g)->floods)
			continue;
		if (part_look(f, *g, &part, e) < 0)
			return -e->code;
		if (part && (*g)->floods(part->object, flood_tell, &telling, e) < 0)
			return wrap(e, "guard.%s", (*g)->name);
	}
	return 0;
}

struct uncovering {
	const struct part *part;
	const struct policy_rule *rule;
	struct strlist *told; /* interfaces of rules without `on`, which all are about the same */
	enforce_uncovered_fn *fn;
	void *ctx;
};

static int on_interface(const char *name, unsigned ifindex, void *ctx, struct err *e)
{
	const struct uncovering *u = ctx;

	(void)e;
	if (ifindex && u->part->guard->stands(u->part->object, u->rule, ifindex))
		return 0;
	if (!rule_names_interfaces(u->rule) && strlist_has(u->told, name))
		return 0;
	if (!rule_names_interfaces(u->rule))
		strlist_add(u->told, name);
	u->fn(u->rule, name, u->ctx);
	return 0;
}

static int part_uncovered(const struct enforce *f, const struct part *part,
			  enforce_uncovered_fn *fn, void *ctx, struct err *e)
{
	struct strlist told = { 0 };
	int err = 0;

	vec_for_each(r, &f->state.policy->rules) {
		struct uncovering u = { part, r, &told, fn, ctx };

		if (!err && r->domain == part->guard->domain)
			err = rule_each_interface(f->state.policy, r, on_interface, &u, e);
	}
	strlist_done(&told);
	return err;
}

int enforce_uncovered(struct enforce *f, enforce_uncovered_fn *fn, void *ctx, struct err *e)
{
	for (const struct guard *const *g = guards; f->state.in_force && *g; g++) {
		struct part *part;

		if (!(*g)->stands || !guard_takes_any(*g, f->state.policy))
			continue;
		if (part_look(f, *g, &part, e) < 0)
			return -e->code;
		if (part && part_uncovered(f, part, fn, ctx, e) < 0)
			return wrap(e, "guard.%s", (*g)->name);
	}
	return 0;
}
