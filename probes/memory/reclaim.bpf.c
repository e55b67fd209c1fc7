/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Where memory is short, whoever needs some has to make room first: that it waits is told, for how
 * long and what it was worth; the kernel's own threads that make room in time are told as well.
 *
 * All is between two tracepoints in one thread, but for what kswapd and compaction do in it.
 */
#include "sonda.bpf.h"

#include "kernel/page.h"
#include "kernel/signal.h"

PROBE(reclaim, "memory", "Waits for memory: pages reclaimed or moved together before it could be had");
FILTERS("task min");

enum reclaim_kind {
	RECLAIM_KIND_NONE,
	RECLAIM_KIND_DIRECT,
	RECLAIM_KIND_CGROUP,
	RECLAIM_KIND_NODE,
	RECLAIM_KIND_COMPACTION,
	RECLAIM_KIND_KSWAPD,
	RECLAIM_KIND_KCOMPACTD,
};

EVENT(reclaim, "A thread made room for memory that it, or in the background others, needed") {
	struct task task;
	enum reclaim_kind kind
		DOC("direct: the machine had none free; cgroup: its limit was reached (or it was told to "
		    "shrink); node: the nearest memory had none; compaction: none in a row; kswapd, "
		    "kcompactd: the same in the background, nobody waits");
	u64 took_ns KIND("duration") DOC("time that took; for kswapd till it slept again");
	u64 reclaimed_bytes KIND("bytes") DOC("freed in it; 0 for compaction, which moves pages");
	s32 order DOC("2^order pages in a row were needed; -1: any number, or not told");
	u32 gfp KIND("hex") HIDE DOC("how they were asked for; 0: not told");
};

struct stall_labels {
	enum reclaim_kind kind DOC("who makes room, and why");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 pid KIND("pid") DOC("process");
	u64 cgroup KIND("cgroup") DOC("cgroup v2 of the process");
};
struct stall_values {
	u64 waited_ns COUNTER UNIT("ns") DOC("time spent in it");
	u64 stalls COUNTER DOC("how often");
	u64 reclaimed_bytes COUNTER UNIT("bytes") DOC("freed");
	HIST_LOG2(took_ns, 40, UNIT("ns") DOC("time each took"));
};
METRICS(stalls, struct stall_labels, struct stall_values, 4096, "Waits for memory");

struct stall_key {
	u32 thread;
	enum reclaim_kind kind;
};
struct stall {
	u64 at_ns;
	u64 pages; /* kswapd: reclaimed so far */
	s32 order;
	u32 gfp;
};
/* LRU: before 5.18 what was asked of compaction stays when no zone had to be compacted. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct stall_key);
	__type(value, struct stall);
} stalls_now SEC(".maps");

static __always_inline struct stall_key stall_here(enum reclaim_kind kind)
{
	return (struct stall_key){ .thread = bpf_get_current_pid_tgid(), .kind = kind };
}

static __noinline int stall_begins(enum reclaim_kind kind, int order, u32 gfp)
{
	struct stall stall = { .at_ns = bpf_ktime_get_ns(), .order = order, .gfp = gfp };
	struct stall_key key = stall_here(kind);

	if (bpf_map_update_elem(&stalls_now, &key, &stall, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __noinline int count_stall(enum reclaim_kind kind, u64 took_ns, u64 bytes)
{
	struct stall_labels key = {};
	struct stall_values *row;

	if (label(stalls, 0))
		key.kind = kind;
	if (label(stalls, 1))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(stalls, 2))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(stalls, 3))
		key.cgroup = task_cgroup_id(current_task());
	row = row_of(stalls, &key);
	if (!row)
		return 0;
	add(row->waited_ns, took_ns);
	add(row->stalls, 1);
	add(row->reclaimed_bytes, bytes);
	observe(row->took_ns, took_ns);
	return 0;
}

static __noinline int stall_ends(void *ctx, enum reclaim_kind kind, u64 pages)
{
	struct stall_key key = stall_here(kind);
	struct stall *found = bpf_map_lookup_elem(&stalls_now, &key), stall;
	u64 took_ns;
	struct reclaim *e;

	if (!found)
		return 0;
	stall = *found;
	bpf_map_delete_elem(&stalls_now, &key);
	took_ns = bpf_ktime_get_ns() - stall.at_ns;
	if (!wanted() || !notable(0, took_ns))
		return 0;
	pages += stall.pages;
	if (tables_wanted())
		count_stall(kind, took_ns, pages * page_size());
	if (!events_wanted())
		return 0;
	e = event_new(reclaim);
	if (!e)
		return 0;
	task_now(&e->task);
	e->kind = kind;
	e->took_ns = took_ns;
	e->reclaimed_bytes = pages * page_size();
	e->order = stall.order;
	e->gfp = stall.gfp;
	event_send(ctx, e);
	return 0;
}

/* What three tracepoints have in common; 7.1 turned the arguments round and added the cgroup. */
#define BETWEEN(slot, what, kind)                                                                  \
	ALT(slot, 1) NEED("tpargs mm_vmscan_" what "_begin 3") SEC("?tp_btf/mm_vmscan_" what "_begin") \
	int BPF_PROG(slot##_begins, u32 gfp, int order)                                            \
	{                                                                                          \
		return stall_begins(kind, order, gfp);                                             \
	}                                                                                          \
	ALT(slot, 1) SEC("?tp_btf/mm_vmscan_" what "_end")                                         \
	int BPF_PROG(slot##_ends, u64 pages)                                                       \
	{                                                                                          \
		return stall_ends(ctx, kind, pages);                                               \
	}                                                                                          \
	ALT(slot, 2) NEED("tpargs mm_vmscan_" what "_begin 2") SEC("?tp_btf/mm_vmscan_" what "_begin") \
	int BPF_PROG(slot##_begins_pre71, int order, u32 gfp)                                      \
	{                                                                                          \
		return stall_begins(kind, order, gfp);                                             \
	}                                                                                          \
	ALT(slot, 2) SEC("?tp_btf/mm_vmscan_" what "_end")                                         \
	int BPF_PROG(slot##_ends_pre71, u64 pages)                                                 \
	{                                                                                          \
		return stall_ends(ctx, kind, pages);                                               \
	}

BETWEEN(direct, "direct_reclaim", RECLAIM_KIND_DIRECT)
BETWEEN(cgroup, "memcg_reclaim", RECLAIM_KIND_CGROUP)

#define NODE ALT(node, 1) OPTIONAL("reclaim of the nearest node: this kernel is built for one")

NODE SEC("?tp_btf/mm_vmscan_node_reclaim_begin")
int BPF_PROG(node_begins, int node, int order, u32 gfp)
{
	return stall_begins(RECLAIM_KIND_NODE, order, gfp);
}

NODE SEC("?tp_btf/mm_vmscan_node_reclaim_end") int BPF_PROG(node_ends, u64 pages)
{
	return stall_ends(ctx, RECLAIM_KIND_NODE, pages);
}

SEC("tp_btf/mm_vmscan_kswapd_wake") int BPF_PROG(kswapd_wakes, int node, int zone, int order)
{
	struct stall_key key = stall_here(RECLAIM_KIND_KSWAPD);

	/* it goes on with another order before it sleeps */
	return bpf_map_lookup_elem(&stalls_now, &key) ? 0 : stall_begins(key.kind, order, 0);
}

SEC("tp_btf/mm_vmscan_kswapd_sleep") int BPF_PROG(kswapd_sleeps)
{
	return stall_ends(ctx, RECLAIM_KIND_KSWAPD, 0);
}

SEC("tp_btf/mm_vmscan_lru_shrink_inactive")
int BPF_PROG(pages_freed, int node, u64 scanned, u64 pages)
{
	struct stall_key key = stall_here(RECLAIM_KIND_KSWAPD);
	struct stall *stall = bpf_map_lookup_elem(&stalls_now, &key);

	if (stall)
		__sync_fetch_and_add(&stall->pages, pages);
	return 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct compact_control {
	int order;
	u32 gfp_mask;
};
#pragma clang attribute pop

/* Each zone is compacted on its own; what one thread does for one need are several of these. */
static __always_inline enum reclaim_kind compaction_kind(void)
{
	if (BPF_CORE_READ(current_task(), flags) & PF_KTHREAD)
		return RECLAIM_KIND_KCOMPACTD;
	return RECLAIM_KIND_COMPACTION;
}

ALT(compaction, 1) NEED("tpargs mm_compaction_begin 4")
SEC("?tp_btf/mm_compaction_begin") int BPF_PROG(compaction_begins, struct compact_control *cc)
{
	return stall_begins(compaction_kind(), cc->order, cc->gfp_mask);
}

ALT(compaction, 1) SEC("?tp_btf/mm_compaction_end") int BPF_PROG(compaction_ends)
{
	return stall_ends(ctx, compaction_kind(), 0);
}

/* Before 5.18 what was asked for is told just before the first zone, and not for kcompactd. */
ALT(compaction, 2) SEC("?tp_btf/mm_compaction_try_to_compact_pages")
int BPF_PROG(compaction_asked_pre518, int order, u32 gfp)
{
	return stall_begins(RECLAIM_KIND_NONE, order, gfp);
}

ALT(compaction, 2) SEC("?tp_btf/mm_compaction_begin") int BPF_PROG(compaction_begins_pre518)
{
	struct stall_key key = stall_here(RECLAIM_KIND_NONE);
	struct stall *asked = bpf_map_lookup_elem(&stalls_now, &key);

	if (!asked)
		return stall_begins(compaction_kind(), -1, 0);
	stall_begins(compaction_kind(), asked->order, asked->gfp);
	bpf_map_delete_elem(&stalls_now, &key);
	return 0;
}

ALT(compaction, 2) SEC("?tp_btf/mm_compaction_end") int BPF_PROG(compaction_ends_pre518)
{
	return stall_ends(ctx, compaction_kind(), 0);
}
