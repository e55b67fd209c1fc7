/* SPDX-License-Identifier: BSD-2-Clause */
/* Links to hooks of netfilter. */
#include "bpf/nf.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>

#include "base/err.h"
#include "base/mem.h"
#include "bpf/parts.h"
#include "bpf/pins.h"

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static bool link_read(int fd, struct bpf_link_info *ret)
{
	__u32 len = sizeof(*ret);

	*ret = (struct bpf_link_info){ 0 };
	return fd >= 0 && !bpf_link_get_info_by_fd(fd, ret, &len) &&
	       ret->type == BPF_LINK_TYPE_NETFILTER;
}

static bool is_linked(const struct object *o, uint32_t pf, unsigned hook, int priority)
{
	struct bpf_link_info info;

	for (size_t i = 0; links_fd(&o->links, i) != -ENOENT; i++)
		if (link_read(links_fd(&o->links, i), &info) && info.netfilter.pf == pf &&
		    info.netfilter.hooknum == hook && info.netfilter.priority == priority)
			return true;
	return false;
}

static int refused(int code, int priority, struct err *e)
{
	if (code != EBUSY)
		return fail(e, code, "netfilter: %s", strerror(code));
	fail(e, EBUSY, "netfilter: somebody else has priority %d at that hook", priority);
	return hint(e, "it is left alone; nftables, iptables and connection tracking have numbers "
		       "such as -300, -200, -150, -100, 0, 50, 100: choose one beside it");
}

static const uint32_t families[NF_FAMILIES] = { NFPROTO_IPV4, NFPROTO_IPV6 };

/* Where one stands the kernel makes no other (EBUSY): what a link tells of itself stays when it is detached. */
static int link_make(int program_fd, uint32_t family, unsigned hook, int priority)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .netfilter.pf = family, .netfilter.hooknum = hook,
		    .netfilter.priority = priority);

	return bpf_link_create(program_fd, 0, BPF_NETFILTER, &opts);
}

struct nf_place {
	uint32_t family;
	unsigned hook;
	int priority;
};

static bool is_at_place(const struct bpf_link_info *info, const void *ctx)
{
	const struct nf_place *place = ctx;

	return info->type == BPF_LINK_TYPE_NETFILTER && info->netfilter.pf == place->family &&
	       info->netfilter.hooknum == place->hook &&
	       info->netfilter.priority == place->priority;
}

/* One at a time can be there. */
static int place_take(struct object *o, const char *dir, int program_fd, struct nf_place place,
		      bool take, struct err *e)
{
	auto_close int aside = pins_aside_link(dir, is_at_place, &place);
	int fd;

	if (aside < 0)
		return refused(EBUSY, place.priority, e);
	if (!take)
		return 0;
	(void)!bpf_link_detach(aside);
	fd = link_make(program_fd, place.family, place.hook, place.priority);
	if (fd < 0)
		return refused(errno, place.priority, e);
	links_add_fd(&o->links, fd);
	return 0;
}

int nf_attach(struct object *o, const char *dir, int program_fd, unsigned hook, int priority,
	      bool take, struct err *e)
{
	for (size_t i = 0; i < NF_FAMILIES; i++) {
		struct nf_place place = { families[i], hook, priority };
		int fd = link_make(program_fd, families[i], hook, priority);

		if (fd >= 0) {
			links_add_fd(&o->links, fd);
			continue;
		}
		if (errno != EBUSY)
			return refused(errno, priority, e);
		if (!is_linked(o, families[i], hook, priority) &&
		    place_take(o, dir, program_fd, place, take, e) < 0)
			return -e->code;
	}
	return 0;
}

unsigned nf_standing(const struct object *o, int program_fd, unsigned hook, int priority)
{
	unsigned standing = 0;

	for (size_t i = 0; i < NF_FAMILIES; i++) {
		auto_close int fd = link_make(program_fd, families[i], hook, priority);

		standing += fd < 0 && errno == EBUSY && is_linked(o, families[i], hook, priority);
	}
	return standing;
}

void nf_detach_others(const struct object *o, const char *dir, int program_fd, int priority)
{
	uint32_t id = program_id(program_fd);
	struct bpf_link_info info;

	for (size_t i = 0; links_fd(&o->links, i) != -ENOENT; i++)
		if (link_read(links_fd(&o->links, i), &info) && info.prog_id == id &&
		    info.netfilter.priority != priority) {
			(void)!bpf_link_detach(links_fd(&o->links, i));
			pins_link_remove(dir, info.id);
		}
}
