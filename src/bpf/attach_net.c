/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to the network: cgroup hooks, socket lookup, netfilter, XDP, TC. */
#include "bpf/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/mounts.h"

enum { TARGET_MAX = 512 };

/* The root of the hierarchy: every socket of the machine. */
int attach_cgroup(const struct attach_spec *spec, struct links *links, struct err *e)
{
	struct bpf_link *link;
	int fd;

	if (cgroup_root_fd(&fd, e) < 0)
		return -e->code;
	link = bpf_program__attach_cgroup(spec->program, fd);
	if (!link)
		return fail(e, errno, "cgroup hook: %s",
			    errno == EPERM ? "a program that allows no other is attached there"
					   : strerror(errno));
	links_add(links, link);
	return 0;
}

int attach_netns(const struct attach_spec *spec, struct links *links, struct err *e)
{
	auto_close int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct bpf_link *link;

	if (fd < 0)
		return fail(e, errno, "open '/proc/self/ns/net': %s", strerror(errno));
	link = bpf_program__attach_netns(spec->program, fd);
	if (!link)
		return fail(e, errno, "network namespace: %s", strerror(errno));
	links_add(links, link);
	return 0;
}

static const char *const netfilter_hooks[] = {
	[NF_INET_PRE_ROUTING] = "pre_routing",   [NF_INET_LOCAL_IN] = "local_in",
	[NF_INET_FORWARD] = "forward",           [NF_INET_LOCAL_OUT] = "local_out",
	[NF_INET_POST_ROUTING] = "post_routing",
};

static bool netfilter_parse(const char *target, struct bpf_netfilter_opts *ret_opts)
{
	char family[8], hook[32];
	int priority = 0;

	if (sscanf(target, "%7[^:]:%31[^:]:%d", family, hook, &priority) < 2)
		return false;
	if (!str_eq(family, "ipv4") && !str_eq(family, "ipv6"))
		return false;
	ret_opts->pf = str_eq(family, "ipv4") ? NFPROTO_IPV4 : NFPROTO_IPV6;
	ret_opts->priority = priority;
	for (size_t i = 0; i < ARRAY_LEN(netfilter_hooks); i++) {
		ret_opts->hooknum = (__u32)i;
		if (str_eq(netfilter_hooks[i], hook))
			return true;
	}
	return false;
}

/* "ipv4:local_in", "ipv6:local_out:-100": all of the targets. */
int attach_netfilter(const struct attach_spec *spec, struct links *links, struct err *e)
{
	char target[TARGET_MAX];
	struct bpf_link *link;
	unsigned i;

	for (i = 0; spec_target(spec, i, target, sizeof(target)); i++) {
		LIBBPF_OPTS(bpf_netfilter_opts, opts);

		if (!netfilter_parse(target, &opts))
			return fail(e, EINVAL,
				    "netfilter '%s': not FAMILY:HOOK, such as "
				    "ipv4:local_in",
				    target);
		link = bpf_program__attach_netfilter(spec->program, &opts);
		if (!link)
			return fail(e, errno, "netfilter %s: %s", target, strerror(errno));
		links_add(links, link);
	}
	return i ? 0 : fail(e, EINVAL, "netfilter: no FAMILY:HOOK is named");
}

/* Native where the driver can, else generic. */
int attach_xdp(const struct attach_spec *spec, struct links *links, struct err *e)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int program = bpf_program__fd(spec->program);
	int fd = bpf_link_create(program, (int)spec->ifindex, BPF_XDP, &opts);
	char name[IF_NAMESIZE] = "?";

	if (fd < 0 && errno != EBUSY && errno != EEXIST) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(program, (int)spec->ifindex, BPF_XDP, &opts);
	}
	if (fd >= 0) {
		links_add_fd(links, fd);
		return 0;
	}
	if_indextoname(spec->ifindex, name);
	return fail(e, errno, "XDP on %s: %s", name,
		    errno == EBUSY || errno == EEXIST ? "another program is attached there"
						      : strerror(errno));
}

/* Before 6.6. The qdisc is made when it isn't there; what others attach to it is left alone. */
static int clsact_add(const struct attach_spec *spec, bool ingress, struct links *links,
		      struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)spec->ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(spec->program));
	int made;

	hook.attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
	made = bpf_tc_hook_create(&hook);
	if (made && made != -EEXIST)
		return fail(e, -made, "clsact: %s",
			    made == -ENOENT ? "not in this kernel (CONFIG_NET_CLS_ACT)"
					    : strerror(-made));
	if (bpf_tc_attach(&hook, &opts)) {
		int code = errno;

		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		if (!made)
			bpf_tc_hook_destroy(&hook);
		return fail(e, code, "clsact: %s", strerror(code));
	}
	links_add_tc(links, spec->ifindex, ingress, opts.handle, opts.priority, !made);
	return 0;
}

static int tc_add(const struct attach_spec *spec, bool ingress, struct links *links, struct err *e)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int fd = bpf_link_create(bpf_program__fd(spec->program), (int)spec->ifindex,
				 ingress ? BPF_TCX_INGRESS : BPF_TCX_EGRESS, &opts);

	if (fd >= 0) {
		links_add_fd(links, fd);
		return 0;
	}
	if (errno != EINVAL && errno != EOPNOTSUPP)
		return fail(e, errno, "tcx: %s", strerror(errno));
	return clsact_add(spec, ingress, links, e);
}

int attach_tc_ingress(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return tc_add(spec, true, links, e);
}

int attach_tc_egress(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return tc_add(spec, false, links, e);
}
