/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * CPU throttling: cgroups that used up their quota (cpu.max, cpu.cfs_quota_us), and had to stop. The
 * kernel has no tracepoint there, but keeps accounts in each group. Each second they are looked
 * at, of the groups of all threads and of those above them; so it costs nothing in between.
 */
#include "sonda.bpf.h"
#include "kernel/sched.h"
#include "sonda/iter.h"

PROBE(throttle, "sched",
      "CPU throttling: cgroups that had to stop because their quota was used up");
FILTERS("task");

#define GROUP_NAME   64
#define GROUP_LEVELS 16
#define CGROUP_DOC   "its cgroup v2; 0: the CPU controller is in a hierarchy of version 1"
#define QUOTA_DOC    "CPU time it may use in each period, on all CPUs together"

EVENT(throttle, "A cgroup was throttled in the last second")
{
	u64 cgroup KIND("cgroup") DOC(CGROUP_DOC);
	char group[GROUP_NAME] KIND("str") DOC("name of its directory");
	u64 throttled_ns KIND("duration") DOC("time it had to wait, summed over CPUs");
	u32 throttled_periods DOC("periods in which the quota was used up");
	u32 periods DOC("periods in which it ran at all");
	u64 quota_ns KIND("duration") DOC(QUOTA_DOC);
	u64 period_ns KIND("duration") DOC("length of a period");
};

struct throttle_labels {
	u64 cgroup KIND("cgroup") DOC(CGROUP_DOC);
	char group[GROUP_NAME] KIND("str") DOC("name of its directory");
};
struct throttle_values {
	u64 throttled_ns COUNTER UNIT("ns") DOC("time it had to wait, summed over CPUs");
	u64 throttled_periods COUNTER DOC("periods in which the quota was used up");
	u64 periods COUNTER DOC("periods in which it ran at all");
	u64 quota_ns GAUGE UNIT("ns") DOC(QUOTA_DOC);
	u64 period_ns GAUGE UNIT("ns") DOC("length of a period");
};
METRICS(throttle, struct throttle_labels, struct throttle_values, 2048, "CPU throttling");
RATIO(throttle, throttled_ratio, throttled_periods, periods,
      DOC("share of the periods in which the quota was used up"));

/* A group's accounts as they were when it was looked at last. */
struct looked {
	u64 throttled_ns;
	u32 throttled;
	u32 periods;
	u64 walk; /* in which walk over the threads; it has many */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* groups that are gone are never heard of again */
	__uint(max_entries, 8192);
	__type(key, u64); /* struct task_group */
	__type(value, struct looked);
} looked SEC(".maps");

#define EVERY_NS 1000000000ull

static __always_inline void accounts_read(struct task_group *group, struct looked *now)
{
	now->throttled_ns = BPF_CORE_READ(group, cfs_bandwidth.throttled_time);
	now->throttled = BPF_CORE_READ(group, cfs_bandwidth.nr_throttled);
	now->periods = BPF_CORE_READ(group, cfs_bandwidth.nr_periods);
}

static __always_inline void count_throttling(struct throttle *e)
{
	struct throttle_labels key = {};
	struct throttle_values *row;

	if (label(throttle, 0))
		key.cgroup = e->cgroup;
	if (label(throttle, 1))
		__builtin_memcpy(key.group, e->group, sizeof(key.group));
	row = row_of(throttle, &key);
	if (!row)
		return;
	add(row->throttled_ns, e->throttled_ns);
	add(row->throttled_periods, e->throttled_periods);
	add(row->periods, e->periods);
	set_gauge(row->quota_ns, e->quota_ns);
	set_gauge(row->period_ns, e->period_ns);
}

/* What was added to the accounts since: counted, and told if it was throttled. */
static __always_inline void tell_group(struct task_group *group, const struct looked *now,
				       const struct looked *before)
{
	struct cgroup *cg = BPF_CORE_READ(group, css.cgroup);
	struct throttle *e = event_new(throttle);

	if (!e)
		return;
	e->cgroup = cgroup_v2_id(cg);
	bpf_probe_read_kernel_str(e->group, sizeof(e->group), BPF_CORE_READ(cg, kn, name));
	e->throttled_ns = now->throttled_ns - before->throttled_ns;
	e->throttled_periods = now->throttled - before->throttled;
	e->periods = now->periods - before->periods;
	e->quota_ns = BPF_CORE_READ(group, cfs_bandwidth.quota);
	e->period_ns = BPF_CORE_READ(group, cfs_bandwidth.period);
	if (tables_wanted())
		count_throttling(e);
	if (events_wanted() && (e->throttled_periods || e->throttled_ns))
		event_send(NULL, e); /* no kernel has iterators and no ring */
	else
		event_release(e);
}

/* Looks at the group at this address. `walk`: 0 for none. `first`: what is in the accounts was before
 * sonda came. Not static: the verifier then checks it once, and not for each level. */
__noinline int look_at(u64 address, u64 walk, u32 first)
{
	struct task_group *group = (struct task_group *)address;
	struct looked now = { .walk = walk }, nothing = {}, *before;

	before = bpf_map_lookup_elem(&looked, &address);
	if (before && walk && before->walk == walk)
		return 0;
	accounts_read(group, &now);
	if (before && (now.periods < before->periods || now.throttled_ns < before->throttled_ns))
		before = NULL; /* another group got its memory */
	/* one that is new may have run since the last look, not longer */
	if (!before && !first &&
	    now.periods * BPF_CORE_READ(group, cfs_bandwidth.period) <= 2 * EVERY_NS)
		before = &nothing;
	if (before && now.periods != before->periods)
		tell_group(group, &now, before);
	bpf_map_update_elem(&looked, &address, &now, BPF_ANY);
	return 0;
}

static __always_inline void look_at_groups(struct task_struct *task, u64 walk, bool first)
{
	struct task_group *group =
		BPF_CORE_READ((struct task_struct___sched *)task, sched_task_group);

	if (sonda_conf.sets_on && !task_in_filters(task))
		return;
	for (int i = 0; i < GROUP_LEVELS && group; i++) {
		if (BPF_CORE_READ(group, cfs_bandwidth.quota) != NO_QUOTA &&
		    BPF_CORE_READ(group, css.cgroup))
			look_at((u64)group, walk, first);
		group = BPF_CORE_READ(group, parent);
	}
}

AT_START SEC("iter/task") int there_already(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		look_at_groups(task, ctx->meta->session_id + 1, true);
	return 0;
}

EVERY(1000) AT_READING SEC("iter/task") int each_second(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		look_at_groups(task, ctx->meta->session_id + 1, false);
	return 0;
}

/* A group's last thread may go before the next look. */
SEC("tp_btf/sched_process_exit") int BPF_PROG(thread_ends, struct task_struct *task)
{
	look_at_groups(task, 0, false);
	return 0;
}
