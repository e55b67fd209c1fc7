/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of network hooks; they run in a network namespace of their own with only "lo", which is up. */
#include "bpf/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "base/err.h"
#include "base/mem.h"
#include "bpf/mounts.h"

enum { LO = 1, SK_PASS_VERDICT = 1, TC_PASS_VERDICT = 0, XDP_PASS_VERDICT = 2, DISCARD_PORT = 9 };

static void fire_packet(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(DISCARD_PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)!sendto(fd, "", 1, 0, (struct sockaddr *)&to, sizeof(to));
}

static void fire_connect(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(DISCARD_PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)!connect(fd, (struct sockaddr *)&to, sizeof(to));
}

/* A pair of virtual interfaces, "sonda0" and its peer; 0 when it can't be made. */
static unsigned veth_make(void)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
		struct nlattr name;
		char name_text[8];
		struct nlattr info;
		struct nlattr kind;
		char kind_text[8];
	} m = { 0 };
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char answer[512];

	m.header.nlmsg_len = sizeof(m);
	m.header.nlmsg_type = RTM_NEWLINK;
	m.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
	m.name.nla_type = IFLA_IFNAME;
	m.name.nla_len = sizeof(m.name) + sizeof("sonda0");
	memcpy(m.name_text, "sonda0", sizeof("sonda0"));
	m.info.nla_type = IFLA_LINKINFO;
	m.info.nla_len = sizeof(m.info) + sizeof(m.kind) + sizeof(m.kind_text);
	m.kind.nla_type = IFLA_INFO_KIND;
	m.kind.nla_len = sizeof(m.kind) + sizeof("veth");
	memcpy(m.kind_text, "veth", sizeof("veth"));
	if (fd < 0 || send(fd, &m, sizeof(m), 0) < 0 || recv(fd, answer, sizeof(answer), 0) < 0)
		return 0;
	return if_nametoindex("sonda0");
}

static bool xdp_link(struct trial *t, unsigned ifindex, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	t->link = bpf_link_create(t->program, (int)ifindex, BPF_XDP, &opts);
	return t->link >= 0 || trial_failed(t, FEATURE_ATTACH);
}

void try_xdp_generic(struct trial *t)
{
	if (trial_load(t, BPF_PROG_TYPE_XDP, BPF_XDP, NULL, XDP_PASS_VERDICT, 0) &&
	    xdp_link(t, LO, XDP_FLAGS_SKB_MODE))
		trial_fire(t, fire_packet);
}

/* Whether a real card's driver can is another question; here the kernel's own virtual one. */
void try_xdp_native(struct trial *t)
{
	unsigned veth;

	if (!trial_load(t, BPF_PROG_TYPE_XDP, BPF_XDP, NULL, XDP_PASS_VERDICT, 0))
		return;
	veth = veth_make();
	if (!veth) {
		errno = ENODEV;
		trial_failed(t, FEATURE_ATTACH);
		return;
	}
	(void)!xdp_link(t, veth, XDP_FLAGS_DRV_MODE);
}

void try_tcx(struct trial *t)
{
	if (trial_load(t, BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS, NULL, TC_PASS_VERDICT, 0) &&
	    trial_link(t, LO, BPF_TCX_INGRESS))
		trial_fire(t, fire_packet);
}

/* Goes with the namespace. */
void try_clsact(struct trial *t)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = LO, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);

	if (!trial_load(t, BPF_PROG_TYPE_SCHED_CLS, 0, NULL, TC_PASS_VERDICT, 0))
		return;
	opts.prog_fd = t->program;
	errno = -bpf_tc_hook_create(&hook);
	if (errno && errno != EEXIST) {
		trial_failed(t, FEATURE_ATTACH);
		return;
	}
	errno = -bpf_tc_attach(&hook, &opts);
	if (errno)
		trial_failed(t, FEATURE_ATTACH);
	else
		trial_fire(t, fire_packet);
}

void try_netfilter(struct trial *t)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	if (!trial_load(t, BPF_PROG_TYPE_NETFILTER, BPF_NETFILTER, NULL, NF_ACCEPT, 0))
		return;
	opts.netfilter.pf = NFPROTO_IPV4;
	opts.netfilter.hooknum = NF_INET_LOCAL_OUT;
	opts.netfilter.priority = 1;
	t->link = bpf_link_create(t->program, 0, BPF_NETFILTER, &opts);
	if (t->link < 0)
		trial_failed(t, FEATURE_ATTACH);
	else
		trial_fire(t, fire_packet);
}

static void cgroup_try(struct trial *t, enum bpf_prog_type type, enum bpf_attach_type attach,
		       void (*fire)(void))
{
	struct err e;
	int root;

	if (!trial_load(t, type, attach, NULL, SK_PASS_VERDICT, 0))
		return;
	errno = -cgroup_root_fd(&root, &e);
	if (errno)
		trial_failed(t, FEATURE_ATTACH);
	else if (trial_link(t, root, attach))
		trial_fire(t, fire);
}

void try_cgroup_skb(struct trial *t)
{
	cgroup_try(t, BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, fire_packet);
}

void try_cgroup_connect(struct trial *t)
{
	cgroup_try(t, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, fire_connect);
}

void try_sockops(struct trial *t)
{
	cgroup_try(t, BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, fire_connect);
}

void try_sk_lookup(struct trial *t)
{
	auto_close int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (trial_load(t, BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, NULL, SK_PASS_VERDICT, 0) &&
	    trial_link(t, netns, BPF_SK_LOOKUP))
		trial_fire(t, fire_packet);
}
