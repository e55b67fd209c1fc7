/* SPDX-License-Identifier: BSD-2-Clause */
/* What is attached, and taking it away again. */
#include "bpf/attach.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/mem.h"
#include "base/vec.h"

enum { THREADS_MAX = 32 };

struct link {
	struct bpf_link *bpf; /* or NULL */
	int fd;               /* or -1 */
	bool in_turn;         /* not at the same time as others */
	struct {
		unsigned ifindex; /* 0: not TC */
		unsigned handle, priority;
		bool ingress, made_hook;
	} tc;
};

void links_add(struct links *l, struct bpf_link *link)
{
	struct link *added = vec_add(l);

	added->bpf = link;
	added->fd = -1;
}

void links_add_in_turn(struct links *l, struct bpf_link *link)
{
	links_add(l, link);
	l->at[l->len - 1].in_turn = true;
}

void links_add_fd(struct links *l, int fd)
{
	vec_add(l)->fd = fd;
}

void links_add_tc(struct links *l, unsigned ifindex, bool ingress, unsigned handle,
		  unsigned priority, bool made_hook)
{
	struct link *added = vec_add(l);

	added->fd = -1;
	added->in_turn = true; /* the qdisc was made with the first, and goes with it */
	added->tc.ifindex = ifindex;
	added->tc.ingress = ingress;
	added->tc.handle = handle;
	added->tc.priority = priority;
	added->tc.made_hook = made_hook;
}

static void tc_undo(const struct link *link)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)link->tc.ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->tc.handle, .priority = link->tc.priority);

	hook.attach_point = link->tc.ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
	bpf_tc_detach(&hook, &opts);
	if (!link->tc.made_hook)
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* the qdisc itself */
	bpf_tc_hook_destroy(&hook);
}

static void link_undo(struct link *link)
{
	if (link->tc.ifindex)
		tc_undo(link);
	bpf_link__destroy(link->bpf);
	fd_close(&link->fd);
	*link = (struct link){ .fd = -1 };
}

/* What is left, from the last on; run by several threads. */
static void *links_undo(void *ctx)
{
	struct links *l = ctx;
	size_t left;

	while ((left = __atomic_load_n(&l->len, __ATOMIC_RELAXED)))
		if (__atomic_compare_exchange_n(&l->len, &left, left - 1, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			link_undo(&l->at[left - 1]);
	return NULL;
}

/* As many threads as there are links to wait for, within reason; also without any it gets done. */
void links_done(struct links *l)
{
	size_t wanted = min(l->len, (size_t)THREADS_MAX), started = 0;
	pthread_t threads[THREADS_MAX];

	for (size_t i = l->len; i--;)
		if (l->at[i].in_turn)
			link_undo(&l->at[i]);
	while (started + 1 < wanted &&
	       !pthread_create(&threads[started], NULL, links_undo, l))
		started++;
	links_undo(l);
	while (started)
		pthread_join(threads[--started], NULL);
	vec_done(l);
}

int links_fd(const struct links *l, size_t nth)
{
	const struct link *link = l->at + nth;

	if (nth >= l->len)
		return -ENOENT;
	if (link->tc.ifindex)
		return -ENOTSUP;
	return link->bpf ? bpf_link__fd(link->bpf) : link->fd;
}

bool link_stands(int fd)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_link_get_info_by_fd(fd, &info, &len))
		return false;
	return info.type == BPF_LINK_TYPE_XDP      ? info.xdp.ifindex
	       : info.type == BPF_LINK_TYPE_TCX    ? info.tcx.ifindex
	       : info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.cgroup_id
						   : true;
}

uint64_t links_missed(const struct links *l)
{
	uint64_t missed = 0;

	vec_for_each(link, l) {
		struct bpf_link_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = link->bpf ? bpf_link__fd(link->bpf) : link->fd;

		if (fd < 0 || bpf_link_get_info_by_fd(fd, &info, &len))
			continue;
		if (info.type == BPF_LINK_TYPE_KPROBE_MULTI)
			missed += info.kprobe_multi.missed;
		else if (info.type == BPF_LINK_TYPE_PERF_EVENT &&
			 (info.perf_event.type == BPF_PERF_EVENT_KPROBE ||
			  info.perf_event.type == BPF_PERF_EVENT_KRETPROBE))
			missed += info.perf_event.kprobe.missed;
	}
	return missed;
}
