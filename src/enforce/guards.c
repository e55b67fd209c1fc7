/* SPDX-License-Identifier: BSD-2-Clause */
/* All guards. */
#include "enforce/guard.h"

#include "base/err.h"
#include "base/str.h"
#include "bpf/pins.h"

#include <errno.h>

const struct guard *const guards[] = {
	&guard_file,   &guard_packet, &guard_traffic, &guard_filter,
	&guard_kernel, &guard_socket, NULL,
};

const struct enforce_source *guard_source;

bool guard_takes_any(const struct guard *g, const struct policy *p)
{
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
		g->detach();
	(void)!pins_remove(g->name, &ignored);
}
