/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of packets that come in: filling its maps, attaching it to interfaces. */
#include "enforce/packet.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/xdp.h"
#include "enforce/guard.h"

static int packet_fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	static const struct packet_scope scope = { .domain = POLICY_PACKET };
	struct packet_tables t = { 0 };
	int code;

	if (p && (packet_cookies_check(p, e) < 0 || packet_tables_make(p, &scope, &t, e) < 0))
		return -e->code;
	code = packet_tables_write(o, gen, &t, e);
	packet_tables_done(&t);
	return code;
}

/* ---- interfaces ---- */

static int packet_attach(struct object *o, const struct policy *p, struct err *e)
{
	ifindex_list list = { 0 };
	int code = 0;

	vec_for_each(r, &p->rules)
		if (!code && r->domain == POLICY_PACKET)
			code = rule_interfaces(p, r, &list, e);
	vec_for_each(ifindex, &list)
		if (!code)
			code = xdp_attach(o, "packet", *ifindex,
					  packet_answers(p) && packet_answers_by_generic(*ifindex),
					  e);
	if (!code && packet_answers(p))
		code = packet_cookies_attach(o, &list, e);
	vec_done(&list);
	return code;
}

static bool stands(const struct object *o, const struct policy_rule *r, unsigned ifindex)
{
	struct xdp_state state = { 0 };
	struct err ignored = { 0 };

	(void)o, (void)r;
	return !xdp_state_read(ifindex, &state, &ignored) &&
	       str_startswith(state.program, "packet_buffer");
}

/* Its program is found by where it stands, or stood. */
static bool whole(const struct object *o)
{
	return xdp_is_linked(o);
}

static void standing(const struct object *o, const struct policy *p, const struct policy_rule *r,
		     struct guard_standing *ret)
{
	interfaces_standing(o, p, r, stands, ret);
}

static int packet_beside(const struct object *o, const struct policy *now, const struct policy *p,
			 struct err *e)
{
	return interfaces_beside(o, now, p, POLICY_PACKET, stands, e);
}

/* ---- strength ---- */

/* How the interfaces are guarded that `on` names, or all. */
static void modes_count(const struct policy_rule *r, unsigned counts[static XDP_MODE_OFFLOAD + 1])
{
	struct if_nameindex *all = if_nameindex();

	for (const struct if_nameindex *i = all; all && i->if_index; i++) {
		struct xdp_state state;
		struct err why = { 0 };
		bool wanted = !rule_names_interfaces(r);

		vec_for_each(c, &r->clauses)
			vec_for_each(v, &c->values)
				wanted |= c->word->word == WORD_ON && str_eq(v->text, i->if_name);
		if (wanted && !xdp_state_read(i->if_index, &state, &why) &&
		    str_startswith(state.program, "packet_buffer"))
			counts[state.mode]++;
	}
	if (all)
		if_freenameindex(all);
}

/* Where it is not attached yet: the interfaces it will stand at, and who stands there already. */
static void wanted_tell(const struct policy_rule *r, struct strbuf *out)
{
	const struct policy none = { 0 };
	ifindex_list list = { 0 };
	struct err ignored = { 0 };

	if (rule_interfaces(&none, r, &list, &ignored) == 0)
		strbuf_appendf(out, ", on %zu interface%s", list.len, list.len == 1 ? "" : "s");
	vec_for_each(ifindex, &list) {
		struct xdp_state state = { 0 };
		char name[IF_NAMESIZE] = "?";

		if (xdp_state_read(*ifindex, &state, &ignored) || !state.program_id)
			continue;
		if_indextoname(*ifindex, name);
		strbuf_appendf(out, "; not on %s, where '%s' stands", name, state.program);
	}
	vec_done(&list);
}

static void packet_strength(const struct object *o, const struct policy_rule *r, struct strbuf *out)
{
	unsigned counts[XDP_MODE_OFFLOAD + 1] = { 0 };

	modes_count(r, counts);
	strbuf_appendf(out, "%s (XDP", policy_verdict_name(r->verdict));
	if (counts[XDP_MODE_NATIVE])
		strbuf_appendf(out, ", native on %u interface%s", counts[XDP_MODE_NATIVE],
			       counts[XDP_MODE_NATIVE] == 1 ? "" : "s");
	if (counts[XDP_MODE_GENERIC])
		strbuf_appendf(out, ", generic on %u interface%s", counts[XDP_MODE_GENERIC],
			       counts[XDP_MODE_GENERIC] == 1 ? "" : "s");
	if (!counts[XDP_MODE_NATIVE] && !counts[XDP_MODE_GENERIC])
		wanted_tell(r, out);
	strbuf_puts(out, ")");
	if (r->verdict == POLICY_ANSWER)
		packet_cookies_strength(o, out);
}

const struct guard guard_packet = {
	.name = "packet",
	.domain = POLICY_PACKET,
	.fill = packet_fill,
	.attach = packet_attach,
	.counts = packet_counts,
	.floods = packet_floods,
	.caution = packet_caution,
	.strength = packet_strength,
	.beside = packet_beside,
	.stands = stands,
	.standing = standing,
	.whole = whole,
	.cost = packet_cost,
};
