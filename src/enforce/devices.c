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
