/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet guard: filling its maps, the interfaces it stands at. */
#include "enforce/packet.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/arrays.h"
#include "bpf/xdp.h"
#include "enforce/guard.h"

/* ---- maps ---- */

/* Element `at` of an array that is mapped as memory; `from` NULL: zeroes. */
static int element_write(const struct object *o, const char *map, unsigned at, const void *from,
			 size_t size, struct err *e)
{
	struct array_view view;

	if (array_view(o, map, &view, e) < 0)
		return -e->code;
	if (from)
		memcpy((char *)view.at + at * size, from, size);
	else
		memset((char *)view.at + at * size, 0, size);
	array_view_done(&view);
	return 0;
}

static int tables_write(const struct object *o, unsigned gen, const struct packet_tables *t,
			struct err *e)
{
	if (element_write(o, "packet_plans", gen, t->plan, sizeof(*t->plan), e) < 0 ||
	    element_write(o, "packet_sieves", gen, t->sieve, sizeof(*t->sieve), e) < 0)
		return -e->code;
	return array_put(o, "packet_networks", gen, t->steps.at + PACKET_BLOCK,
			 sizeof(*t->steps.at) * max(t->steps.len, (size_t)PACKET_BLOCK) -
				 sizeof(struct packet_block),
			 sizeof(struct packet_block), e);
}

static int packet_fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	struct packet_tables t = { 0 };
	int code;

	if (p && packet_tables_make(p, &t, e) < 0)
		return -e->code;
	code = tables_write(o, gen, &t, e);
	packet_tables_done(&t);
	return code;
}

/* ---- interfaces ---- */

typedef vec(unsigned) ifindex_list;

static void ifindex_add(ifindex_list *list, unsigned ifindex)
{
	vec_for_each(known, list)
		if (*known == ifindex)
			return;
	vec_push(list, ifindex);
}

/* Programs are handed frames: what has none (WireGuard, tun) would be misread. */
static bool has_frames(const char *name)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	str_copy(request.ifr_name, sizeof(request.ifr_name), name);
	return fd >= 0 && !ioctl(fd, SIOCGIFHWADDR, &request) &&
	       (request.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
		request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
}

static int is_lower(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	(void)dir_fd, (void)type, (void)ctx, (void)e;
	return str_startswith(name, "lower_");
}

/* A bridge, a bond, a VLAN: what comes by it has come by another interface already. */
static bool is_above_another(const char *name)
{
	auto_free char *path = xasprintf("/sys/class/net/%s", name);
	struct err ignored = { 0 };

	return dir_each(path, is_lower, NULL, &ignored) > 0;
}

static int named_add(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	unsigned ifindex = if_nametoindex(text);

	(void)at;
	if (!ifindex)
		return fail_as(e, EXIT_POLICY, ENODEV, "there is no network interface '%s'", text);
	if (!has_frames(text))
		return fail_as(e, EXIT_POLICY, EOPNOTSUPP,
			       "'%s' carries no Ethernet frames, which rules about packets need",
			       text);
	ifindex_add(ctx, ifindex);
	return 0;
}

/* All that are up, but for loopback, what has no frames, and what lies above others. */
static int up_add(ifindex_list *list, struct err *e)
{
	struct if_nameindex *all = if_nameindex();
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!all || fd < 0) {
		fail(e, errno, "network interfaces: %s", strerror(errno));
		if (all)
			if_freenameindex(all);
		return -e->code;
	}
	for (const struct if_nameindex *i = all; i->if_index; i++) {
		struct ifreq request = { 0 };

		str_copy(request.ifr_name, sizeof(request.ifr_name), i->if_name);
		if (!ioctl(fd, SIOCGIFFLAGS, &request) && (request.ifr_flags & IFF_UP) &&
		    !(request.ifr_flags & IFF_LOOPBACK) && has_frames(i->if_name) &&
		    !is_above_another(i->if_name))
			ifindex_add(list, i->if_index);
	}
	if_freenameindex(all);
	return 0;
}

static bool names_interfaces(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_ON, 0);

	return c && !c->unless;
}

/* Those that a rule names, else those that are up. */
static int rule_interfaces(const struct policy *p, const struct policy_rule *r, ifindex_list *list,
			   struct err *e)
{
	bool named = false;

	vec_for_each(c, &r->clauses) {
		if (c->word->word != WORD_ON || c->unless)
			continue;
		named = true;
		if (policy_each(p, &c->values, named_add, list, e) < 0)
			return policy_wrap(p, c->at, e);
	}
	return named ? 0 : up_add(list, e);
}

static int packet_attach(struct object *o, const struct policy *p, struct err *e)
{
	ifindex_list list = { 0 };
	int code = 0;

	vec_for_each(r, &p->rules)
		if (!code && r->domain == POLICY_PACKET)
			code = rule_interfaces(p, r, &list, e);
	vec_for_each(ifindex, &list)
		if (!code)
			code = xdp_attach(o, "packet", *ifindex, e);
	vec_done(&list);
	return code;
}

/* Rules of `now` that name no interface stand at all that are guarded: no more may become so. */
static int packet_beside(const struct object *o, const struct policy *now, const struct policy *p,
			 struct err *e)
{
	const struct policy_rule *everywhere = NULL;
	ifindex_list list = { 0 };
	int code = 0;

	(void)o;
	if (now)
		vec_for_each(r, &now->rules)
			if (r->domain == POLICY_PACKET && !names_interfaces(r))
				everywhere = r;
	if (!everywhere)
		return 0;
	vec_for_each(r, &p->rules)
		if (!code && r->domain == POLICY_PACKET)
			code = rule_interfaces(p, r, &list, e);
	vec_for_each(ifindex, &list) {
		struct xdp_state state = { 0 };
		struct err ignored = { 0 };
		char name[IF_NAMESIZE] = "?";

		if (code || (!xdp_state_read(*ifindex, &state, &ignored) &&
			     str_startswith(state.program, "packet_buffer")))
			continue;
		if_indextoname(*ifindex, name);
		code = fail_as(e, EXIT_POLICY, EBUSY,
			       "'%s' is not guarded now; to be counted there, rule '%s' of the policy "
			       "in force, which has no `on`, would come to decide there too",
			       name, everywhere->name);
	}
	vec_done(&list);
	return code;
}

/* ---- strength ---- */

/* How the interfaces are guarded that `on` names, or all. */
static void modes_count(const struct policy_rule *r, unsigned counts[static XDP_MODE_OFFLOAD + 1])
{
	struct if_nameindex *all = if_nameindex();

	for (const struct if_nameindex *i = all; all && i->if_index; i++) {
		struct xdp_state state;
		struct err why = { 0 };
		bool wanted = !names_interfaces(r);

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

	(void)o;
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
}

const struct guard guard_packet = {
	.name = "packet",
	.domain = POLICY_PACKET,
	.fill = packet_fill,
	.attach = packet_attach,
	.counts = packet_counts,
	.strength = packet_strength,
	.beside = packet_beside,
	.cost = packet_cost,
};
