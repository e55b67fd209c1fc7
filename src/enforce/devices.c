/* SPDX-License-Identifier: BSD-2-Clause */
/* The interfaces that a rule about packets stands at. */
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

int interface_find(const char *name, unsigned *ret_ifindex, struct err *e)
{
	unsigned ifindex = if_nametoindex(name);
	struct if_nameindex *all = ifindex ? NULL : if_nameindex();
	struct strlist names = { 0 };

	*ret_ifindex = ifindex;
	if (ifindex)
		return 0;
	for (const struct if_nameindex *i = all; all && i->if_index; i++)
		strlist_add(&names, i->if_name);
	if (all)
		if_freenameindex(all);
	(void)name_missing("network interface", name, &names, e);
	strlist_done(&names);
	e->exit_class = EXIT_POLICY;
	e->code = ENODEV;
	return -e->code;
}

static int named_add(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	unsigned ifindex;

	(void)at;
	if (interface_find(text, &ifindex, e) < 0)
		return -e->code;
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

bool rule_names_interfaces(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_ON, 0);

	return c && !c->unless;
}

int rule_interfaces(const struct policy *p, const struct policy_rule *r, ifindex_list *list,
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

/* ---- where a rule stands ---- */

struct each_name {
	interface_fn *fn;
	void *ctx;
};

static int on_name(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	const struct each_name *each = ctx;

	(void)at;
	return each->fn(text, if_nametoindex(text), each->ctx, e);
}

int rule_each_interface(const struct policy *p, const struct policy_rule *r, interface_fn *fn,
			void *ctx, struct err *e)
{
	struct each_name each = { fn, ctx };
	ifindex_list list = { 0 };
	int err = 0;

	vec_for_each(c, &r->clauses)
		if (!err && c->word->word == WORD_ON && !c->unless)
			err = policy_each(p, &c->values, on_name, &each, e);
	if (err || rule_names_interfaces(r))
		return err;
	err = up_add(&list, e);
	vec_for_each(ifindex, &list) {
		char name[IF_NAMESIZE];

		if (!err && if_indextoname(*ifindex, name))
			err = fn(name, *ifindex, ctx, e);
	}
	vec_done(&list);
	return err;
}

struct standing {
	const struct object *object;
	const struct policy_rule *rule;
	stands_fn *stands;
	struct guard_standing *found;
};

static int standing_add(const char *name, unsigned ifindex, void *ctx, struct err *e)
{
	const struct standing *s = ctx;

	(void)name, (void)e;
	s->found->places++;
	s->found->held += ifindex && s->stands(s->object, s->rule, ifindex);
	return 0;
}

void interfaces_standing(const struct object *o, const struct policy *p,
			 const struct policy_rule *r, stands_fn *stands, struct guard_standing *ret)
{
	struct standing s = { o, r, stands, ret };
	struct err ignored = { 0 };

	*ret = (struct guard_standing){ 0 };
	(void)!rule_each_interface(p, r, standing_add, &s, &ignored);
}

static int not_guarded(unsigned ifindex, const struct policy_rule *everywhere, struct err *e)
{
	char name[IF_NAMESIZE] = "?";

	if_indextoname(ifindex, name);
	return fail_as(e, EXIT_POLICY, EBUSY,
		       "'%s' is not guarded now; to be counted there, rule '%s' of the policy "
		       "in force, which has no `on`, would come to decide there too",
		       name, everywhere->name);
}

int interfaces_beside(const struct object *o, const struct policy *now, const struct policy *p,
		      enum policy_domain domain, stands_fn *stands, struct err *e)
{
	const struct policy_rule *everywhere = NULL;
	int code = 0;

	if (now)
		vec_for_each(r, &now->rules)
			if (r->domain == domain && !rule_names_interfaces(r))
				everywhere = r;
	for (size_t i = 0; everywhere && !code && i < p->rules.len; i++) {
		const struct policy_rule *r = &p->rules.at[i];
		ifindex_list list = { 0 };

		if (r->domain == domain)
			code = rule_interfaces(p, r, &list, e);
		vec_for_each(ifindex, &list)
			if (!code && !stands(o, r, *ifindex))
				code = not_guarded(*ifindex, everywhere, e);
		vec_done(&list);
	}
	return code;
}

static bool stands_everywhere(const struct policy_rule *r)
{
	return (r->domain == POLICY_PACKET || r->domain == POLICY_TRAFFIC) &&
	       !rule_names_interfaces(r);
}

void interfaces_caution(const struct policy *p, struct strbuf *out)
{
	ifindex_list list = { 0 };
	struct err ignored = { 0 };
	size_t rules = 0;

	vec_for_each(r, &p->rules)
		if (stands_everywhere(r) && rules++ == 0)
			(void)!up_add(&list, &ignored);
	if (!rules)
		return;
	strbuf_appendf(out, "%zu rule%s without `on` stand%s at", rules, rules == 1 ? "" : "s",
		       rules == 1 ? "s" : "");
	vec_for_each(ifindex, &list) {
		char name[IF_NAMESIZE] = "?";

		if_indextoname(*ifindex, name);
		strbuf_appendf(out, "%s %s", ifindex == list.at ? "" : ",", name);
	}
	strbuf_appendf(
		out, "%s: interfaces that come later need another `apply` (`status` names them)\n",
		list.len ? "" : " no interface");
	vec_done(&list);
}
