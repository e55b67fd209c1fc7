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

int nf_attach(struct object *o, int program_fd, unsigned hook, int priority, struct err *e)
{
	static const uint32_t families[] = { NFPROTO_IPV4, NFPROTO_IPV6 };

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		LIBBPF_OPTS(bpf_link_create_opts, opts);
		int fd;

		if (is_linked(o, families[i], hook, priority))
			continue;
		opts.netfilter.pf = families[i];
		opts.netfilter.hooknum = hook;
		opts.netfilter.priority = priority;
		fd = bpf_link_create(program_fd, 0, BPF_NETFILTER, &opts);
		if (fd < 0)
			return refused(errno, priority, e);
		links_add_fd(&o->links, fd);
	}
	return 0;
}

void nf_detach_others(const struct object *o, int program_fd, int priority)
{
	uint32_t id = program_id(program_fd);
	struct bpf_link_info info;

	for (size_t i = 0; links_fd(&o->links, i) != -ENOENT; i++)
		if (link_read(links_fd(&o->links, i), &info) && info.prog_id == id &&
		    info.netfilter.priority != priority)
			(void)!bpf_link_detach(links_fd(&o->links, i));
}
