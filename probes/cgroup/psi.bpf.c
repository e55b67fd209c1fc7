/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Pressure by cgroup: the share of time in which some, or all, of its threads had to wait for CPU,
 * memory or I/O. The kernel keeps it, and brings it up to date every two seconds where anything
 * happens; each second it is looked at, for the cgroups of all threads and those above them.
 */
#include "sonda.bpf.h"
#include "kernel/psi.h"
#include "sonda/iter.h"

PROBE(psi, "cgroup", "Pressure: time lost waiting for CPU, memory and I/O, by cgroup");
FILTERS("task");
PARAM(u32, percent, 10,
      DOC("events when some threads wait for more than this share of time") UNIT("percent")
	      RANGE(1, 100));

enum psi_resource { PSI_RESOURCE_IO, PSI_RESOURCE_MEMORY, PSI_RESOURCE_CPU };
#define RESOURCES 3
enum psi_change { PSI_CHANGE_ROSE, PSI_CHANGE_FELL };

#define GROUP_LEVELS 16

EVENT(psi, "Pressure on a cgroup rose above the threshold, or fell below it")
{
	u64 cgroup KIND("cgroup") DOC("cgroup v2; its root is the whole machine");
	enum psi_resource resource DOC("what is waited for");
	enum psi_change change DOC("rose: above --percent; fell: below it again");
	u32 some_percent KIND("percent") DOC("share of time in which some threads waited");
	u32 full_percent KIND("percent")
		DOC("share of time in which all did, and nothing was done");
	u64 interval_ns KIND("duration") HIDE DOC("the time that the shares are of");
};

struct psi_labels {
	u64 cgroup KIND("cgroup") DOC("cgroup v2; its root is the whole machine");
	enum psi_resource resource DOC("what is waited for");
	u32 pad HIDE;
};
struct psi_values {
	u64 some_ns COUNTER UNIT("ns") DOC("time in which some threads waited");
	u64 full_ns COUNTER UNIT("ns") DOC("time in which all did, and nothing was done");
	u64 some_percent GAUGE UNIT("percent")
		DOC("share of the last two seconds in which some waited");
	u64 full_percent GAUGE UNIT("percent")
		DOC("share of the last two seconds in which all did");
};
METRICS(psi, struct psi_labels, struct psi_values, 4096, "Pressure");

/* A group as it was when it was looked at last. */
struct looked {
	u64 updated_ns;
	u64 total_ns[PSI_TIMES];
	u64 walk;  /* in which walk over the threads; it has many */
	u32 above; /* bits of enum psi_resource: above the threshold */
	u32 rests; /* looks since anything changed */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* groups that are gone are never heard of again */
	__uint(max_entries, 8192);
	__type(key, u64); /* struct psi_group */
	__type(value, struct looked);
} looked SEC(".maps");

/* The kernel's own period. After a pause what was lost was lost in the last one. */
#define PERIOD_NS 2000000000ull
#define RESTS     4

struct lost {
	u64 cgroup;
	u64 some_ns, full_ns, interval_ns;
	u32 some_percent, full_percent;
	u32 resource;
};

static __always_inline u32 percent_of(u64 part_ns, u64 whole_ns)
{
	u64 percent = part_ns * 100 / whole_ns;

	return percent > 100 ? 100 : percent;
}

static __noinline int count_lost_time(const struct lost *lost)
{
	struct psi_labels key = {};
	struct psi_values *row;

	if (!lost)
		return 0;
	if (label(psi, 0))
		key.cgroup = lost->cgroup;
	if (label(psi, 1))
		key.resource = lost->resource;
	row = row_of(psi, &key);
	if (!row)
		return 0;
	add(row->some_ns, lost->some_ns);
	add(row->full_ns, lost->full_ns);
	set_gauge(row->some_percent, lost->some_percent);
	set_gauge(row->full_percent, lost->full_percent);
	return 0;
}

static __noinline int tell_change(const struct lost *lost, enum psi_change change)
{
	struct psi *e = event_new(psi);

	if (!e || !lost)
		return 0;
	e->cgroup = lost->cgroup;
	e->resource = lost->resource;
	e->change = change;
	e->some_percent = lost->some_percent;
	e->full_percent = lost->full_percent;
	e->interval_ns = lost->interval_ns;
	event_send(NULL, e); /* no kernel has iterators and no ring */
	return 0;
}

/* What was lost waiting for one resource since `before`. */
static __always_inline void look_at_resource(struct looked *now, struct looked *before,
					     struct lost *lost)
{
	u32 some = lost->resource * 2, full = some + 1;
	u32 bit = 1u << lost->resource;

	lost->some_ns = now->total_ns[some] - before->total_ns[some];
	lost->full_ns = now->total_ns[full] - before->total_ns[full];
	lost->some_percent = percent_of(lost->some_ns, lost->interval_ns);
	lost->full_percent = percent_of(lost->full_ns, lost->interval_ns);
	if (tables_wanted())
		count_lost_time(lost);
	if (lost->some_percent >= percent)
		now->above |= bit;
	if (events_wanted() && (now->above ^ before->above) & bit)
		tell_change(lost, now->above & bit ? PSI_CHANGE_ROSE : PSI_CHANGE_FELL);
}

static __always_inline bool is_same(const struct looked *a, const struct looked *b)
{
	u64 differs = a->updated_ns ^ b->updated_ns;

	for (int i = 0; i < PSI_TIMES; i++)
		differs |= a->total_ns[i] ^ b->total_ns[i];
	return !differs;
}

static __always_inline void group_read(struct psi_group *group, struct looked *now)
{
	u32 size = psi_has_cpu_full() ? sizeof(now->total_ns) : sizeof(now->total_ns) - sizeof(u64);

	now->updated_ns = BPF_CORE_READ(group, avg_last_update);
	bpf_probe_read_kernel(now->total_ns, size, (void *)group + psi_total_offset());
}

static __always_inline void tell_group(struct cgroup *cg, struct looked *now, struct looked *before)
{
	struct lost lost = { .cgroup = BPF_CORE_READ(cg, kn, id) };

	lost.interval_ns = now->updated_ns - before->updated_ns;
	if (!lost.interval_ns || lost.interval_ns > 2 * PERIOD_NS)
		lost.interval_ns = PERIOD_NS;
	_Pragma("unroll") for (int i = 0; i < RESOURCES; i++)
	{
		lost.resource = i;
		look_at_resource(now, before, &lost);
	}
}

/* Looks at the pressure at this address, of the cgroup at that. 0: it has been looked at in this walk,
 * and so have those above it. Not static: the verifier then checks it once, not for each level. */
__noinline int look_at(u64 address, u64 cgroup, u64 walk)
{
	struct psi_group *group = (struct psi_group *)address;
	struct looked now = { .walk = walk }, *before;

	before = bpf_map_lookup_elem(&looked, &address);
	if (before && before->walk == walk)
		return 0;
	group_read(group, &now);
	/* nothing is brought up to date where nothing happens any more: then it is over */
	if (before && is_same(&now, before) && ++before->rests != RESTS) {
		before->walk = walk;
		return 1;
	}
	if (before) {
		now.rests = before->rests;
		tell_group((struct cgroup *)cgroup, &now, before);
	}
	if (before && !is_same(&now, before))
		now.rests = 0;
	bpf_map_update_elem(&looked, &address, &now, BPF_ANY);
	return 1;
}

/* The root has no pressure of its own: the machine's is above that of the groups in it. */
AT_START EVERY(1000) NEED("pressure") SEC("?iter/task") int each_second(struct bpf_iter__task *ctx)
{
	struct psi_group *group, *above = NULL;
	struct task_struct *task = ctx->task;
	u64 walk = ctx->meta->session_id + 1;
	struct cgroup *cg;

	if (!task || (sonda_conf.sets_on && !task_in_filters(task)))
		return 0;
	cg = task_cgroup(task);
	for (int i = 0; i < GROUP_LEVELS && cg; i++) {
		group = cgroup_psi(cg);
		if (!group)
			group = above;
		if (group && !look_at((u64)group, (u64)cg, walk))
			return 0;
		if (group && bpf_core_field_exists(group->parent))
			above = BPF_CORE_READ(group, parent);
		cg = cgroup_parent(cg);
	}
	return 0;
}
