/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs at TC: links, or filters of clsact. */
#include "bpf/tc.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/parts.h"

enum { ANSWER_BYTES = 32768, FILTERS_MAX = 64 };

/* ---- the filters of clsact ---- */

/* clang: the macros of netlink's headers cast const away */
#pragma GCC diagnostic ignored "-Wcast-qual"

struct filter {
	uint32_t handle, priority;
	uint32_t program_id; /* 0: not one of BPF */
};

struct filters {
	size_t count; /* may be more than are in `at` */
	struct filter at[FILTERS_MAX];
};

static void bpf_options_read(const struct rtattr *options, struct filter *f)
{
	int left = RTA_PAYLOAD(options);

	for (const struct rtattr *a = RTA_DATA(options); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == TCA_BPF_ID && RTA_PAYLOAD(a) >= sizeof(f->program_id))
			memcpy(&f->program_id, RTA_DATA(a), sizeof(f->program_id));
}

static void filter_read(const struct nlmsghdr *m, struct filters *all)
{
	const struct tcmsg *tc = NLMSG_DATA(m);
	const struct rtattr *options = NULL, *a = TCA_RTA(tc);
	int left = (int)TCA_PAYLOAD(m);
	struct filter f = { .handle = tc->tcm_handle, .priority = TC_H_MAJ(tc->tcm_info) >> 16 };
	bool is_bpf = false;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == TCA_KIND)
			is_bpf = str_eq(RTA_DATA(a), "bpf");
		else if (a->rta_type == TCA_OPTIONS)
			options = a;
	if (!options) /* of the chain, not a filter in it */
		return;
	if (is_bpf)
		bpf_options_read(options, &f);
	if (all->count < FILTERS_MAX)
		all->at[all->count] = f;
	all->count++;
}

/* One part of the answer; 0: more comes. */
static int answer_read(const char *bytes, size_t size, struct filters *all)
{
	const struct nlmsghdr *m = (const void *)bytes;

	for (; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) {
		if (m->nlmsg_type == NLMSG_DONE)
			return 1;
		if (m->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(m))->error ?: 1;
		if (m->nlmsg_type == RTM_NEWTFILTER)
			filter_read(m, all);
	}
	return 0;
}

static uint32_t direction(bool out)
{
	return TC_H_MAKE(TC_H_CLSACT, out ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

/* 0 or -errno. None where there is no clsact. */
static int filters_read(unsigned ifindex, bool out, struct filters *ret)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg tc;
	} ask = {
		.header = { .nlmsg_len = sizeof(ask),
			    .nlmsg_type = RTM_GETTFILTER,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.tc = { .tcm_ifindex = (int)ifindex, .tcm_parent = direction(out) },
	};
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	auto_free char *answer = xmalloc(ANSWER_BYTES);
	int code = 0;

	*ret = (struct filters){ 0 };
	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	while (!code) {
		ssize_t n = recv(fd, answer, ANSWER_BYTES, 0);

		if (n < 0)
			return -errno;
		code = answer_read(answer, (size_t)n, ret);
	}
	return min(code, 0);
}

/* ---- programs ---- */

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* Is there a link of the object's own at that place? */
static bool is_linked(const struct object *o, unsigned ifindex, bool out)
{
	for (size_t i = 0; links_fd(&o->links, i) != -ENOENT; i++) {
		struct bpf_link_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = links_fd(&o->links, i);

		if (fd >= 0 && !bpf_link_get_info_by_fd(fd, &info, &len) &&
		    info.type == BPF_LINK_TYPE_TCX && info.tcx.ifindex == ifindex &&
		    info.tcx.attach_type == (out ? BPF_TCX_EGRESS : BPF_TCX_INGRESS))
			return true;
	}
	return false;
}

static bool is_filter(int program_fd, unsigned ifindex, bool out)
{
	uint32_t id = program_id(program_fd);
	struct filters all;

	if (!id || filters_read(ifindex, out, &all))
		return false;
	for (size_t i = 0; i < min(all.count, (size_t)FILTERS_MAX); i++)
		if (all.at[i].program_id == id)
			return true;
	return false;
}

enum tc_way tc_attached(const struct object *o, int program_fd, unsigned ifindex, bool out)
{
	if (is_linked(o, ifindex, out))
		return TC_TCX;
	return is_filter(program_fd, ifindex, out) ? TC_CLSACT : TC_NONE;
}

/* ---- attaching ---- */

static int failed(unsigned ifindex, const char *what, int code, struct err *e)
{
	char name[IF_NAMESIZE] = "?";

	if_indextoname(ifindex, name);
	return fail_as(e, code == ENOENT || code == EOPNOTSUPP ? EXIT_KERNEL : EXIT_FAILED, code,
		       "%s on %s: %s", what, name,
		       code == ENOENT || code == EOPNOTSUPP
			       ? "not in this kernel (CONFIG_NET_CLS_ACT, CONFIG_NET_SCH_INGRESS, "
				 "CONFIG_NET_CLS_BPF)"
			       : strerror(code));
}

/* Without a priority of its own a filter gets the one before those that are there. */
static int clsact_attach(int program_fd, unsigned ifindex, bool out, bool *ret_made, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program_fd);
	int code;

	if (is_filter(program_fd, ifindex, out))
		return 0;
	hook.attach_point = out ? BPF_TC_EGRESS : BPF_TC_INGRESS;
	code = -bpf_tc_hook_create(&hook);
	if (code && code != EEXIST)
		return failed(ifindex, "clsact", code, e);
	*ret_made |= !code;
	code = -bpf_tc_attach(&hook, &opts);
	return code ? failed(ifindex, "clsact", code, e) : 0;
}

int tc_attach(struct object *o, int program_fd, unsigned ifindex, bool out, bool *ret_made,
	      struct err *e)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = BPF_F_BEFORE);
	int fd, code;

	*ret_made = false;
	if (is_linked(o, ifindex, out))
		return 0;
	fd = bpf_link_create(program_fd, (int)ifindex, out ? BPF_TCX_EGRESS : BPF_TCX_INGRESS,
			     &opts);
	if (fd >= 0) {
		links_add_fd(&o->links, fd);
		return 0;
	}
	code = errno;
	if (code != EINVAL && code != EOPNOTSUPP)
		return failed(ifindex, "TCX", code, e);
	return clsact_attach(program_fd, ifindex, out, ret_made, e);
}

void tc_detach(int program_fd, unsigned ifindex, bool out)
{
	uint32_t id = program_id(program_fd);
	struct filters all;

	if (!id || filters_read(ifindex, out, &all))
		return;
	for (size_t i = 0; i < min(all.count, (size_t)FILTERS_MAX); i++) {
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex);
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = all.at[i].handle,
			    .priority = all.at[i].priority);

		hook.attach_point = out ? BPF_TC_EGRESS : BPF_TC_INGRESS;
		if (all.at[i].program_id == id)
			(void)!bpf_tc_detach(&hook, &opts);
	}
}

bool tc_unmake(unsigned ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct filters in, out;

	if (filters_read(ifindex, false, &in) || filters_read(ifindex, true, &out))
		return false;
	if (in.count || out.count)
		return true;
	(void)!bpf_tc_hook_destroy(&hook);
	return false;
}
