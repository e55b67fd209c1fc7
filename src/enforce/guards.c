/* SPDX-License-Identifier: BSD-2-Clause */
/* All guards. */
#include "enforce/guard.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "bpf/weight.h"

#include <errno.h>

/* In this order they are filled. */
const struct guard *const guards[] = {
	&guard_ancestry, &guard_file,   &guard_packet, &guard_traffic,
	&guard_filter,   &guard_kernel, &guard_socket, NULL,
};

const struct enforce_source *guard_source;

bool guard_takes_any(const struct guard *g, const struct policy *p)
{
	if (p && g->takes)
		return g->takes(p);
	if (p)
		vec_for_each(r, &p->rules)
			if (r->domain == g->domain)
				return true;
	return false;
}

int guard_beside_anywhere(const struct object *o, const struct policy *now, const struct policy *p,
			  struct err *e)
{
	(void)o, (void)now, (void)p, (void)e;
	return 0;
}

/* Makes the rules be asked, as alerts that nobody hears of. */
static int rules_arm(const struct guard *g, const struct object *o, const struct policy *p,
		     struct err *e)
{
	uint64_t word = POLICY_HOLDS(1) | 1;
	auto_done(strbuf) text = { 0 };
	auto_ptr(policy) alerts = NULL;
	uint32_t zero = 0;

	policy_print(p, &text);
	if (policy_parse(p->name, strbuf_str(&text), &alerts, e) < 0)
		return -e->code;
	vec_for_each(r, &alerts->rules)
		if (r->verdict == POLICY_DENY)
			r->verdict = POLICY_ALERT;
	if (g->fill(o, alerts, 1, e) < 0)
		return -e->code;
	return map_set(object_map_fd(o, "policy_state"), "the state", &zero, &word, e);
}

static void rules_disarm(const struct object *o)
{
	struct err ignored = { 0 };
	uint32_t zero = 0;
	uint64_t word = 0;

	(void)!map_set(object_map_fd(o, "policy_state"), "the state", &zero, &word, &ignored);
}

int guard_measure(const struct guard *g, struct object *o, const struct policy *p, const char *slot,
		  void (*work)(void *ctx), void *ctx, uint64_t *ret_ns, struct err *e)
{
	int err;

	if (rules_arm(g, o, p, e) < 0)
		return -e->code;
	err = object_run_ns(o, slot, work, ctx, ret_ns, e);
	rules_disarm(o);
	return err;
}

int guard_strength_check(const struct policy *p, const struct policy_rule *r, const char *strength,
			 struct err *e)
{
	if (*strength && !str_startswith(strength, "none"))
		return 0;
	fail_as(e, EXIT_KERNEL, ENOTSUP, "rule '%s' can't be enforced on this kernel: %s", r->name,
		*strength ? strength : "there is no guard for it");
	return policy_wrap(p, r->at, e);
}

void guard_remove(const struct guard *g)
{
	struct err ignored;

	if (g->detach && pins_have(g->name))
		g->detach(g->name);
	(void)!pins_remove(g->name, &ignored);
}

int guards_aside_remove(struct err *e)
{
	for (const struct guard *const *g = guards; pins_are_aside() && *g; g++) {
		auto_free char *dir = xasprintf(PINS_ASIDE_BELOW "/%s", (*g)->name);

		if ((*g)->detach && pins_have(dir))
			(*g)->detach(dir);
	}
	return pins_aside_remove(e);
}
