/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Memory cgroups, of version 1 or 2: what they use and what they may.
 */
#pragma once

#include "kernel/task.h"
#include "kernel/page.h"

enum cgroup_subsys_id { memory_cgrp_id = 4 }; /* the number is the running kernel's */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct page_counter {
	struct {
		long counter;
	} usage;
	unsigned long max;
};
struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
};
struct css_set___subsys {
	struct cgroup_subsys_state *subsys[16];
};
struct task_struct___subsys {
	struct css_set___subsys *cgroups;
};

#pragma clang attribute pop

/* The memory cgroup that a task belongs to, or NULL. */
static __always_inline struct mem_cgroup *task_memcg(struct task_struct *task)
{
	struct css_set___subsys *set = BPF_CORE_READ((struct task_struct___subsys *)task, cgroups);
	struct cgroup_subsys_state *css = NULL;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return NULL;
	bpf_probe_read_kernel(&css, sizeof(css),
			      (void *)set + bpf_core_field_offset(set->subsys) +
				      bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) *
					      sizeof(css));
	return (struct mem_cgroup *)css; /* its first member */
}

static __always_inline struct mem_cgroup *memcg_parent(struct mem_cgroup *memcg)
{
	return (struct mem_cgroup *)BPF_CORE_READ(memcg, css.parent);
}

static __always_inline struct kernfs_node *memcg_node(struct mem_cgroup *memcg)
{
	return BPF_CORE_READ(memcg, css.cgroup, kn);
}

static __always_inline u64 memcg_usage_bytes(struct mem_cgroup *memcg)
{
	return BPF_CORE_READ(memcg, memory.usage.counter) * page_size();
}

/* "No limit" is the highest number of pages whose bytes a long can hold. */
static __always_inline bool memcg_is_limited(struct mem_cgroup *memcg)
{
	return BPF_CORE_READ(memcg, memory.max) < (~0ull >> 1) / page_size();
}

/* 0: no limit */
static __always_inline u64 memcg_limit_bytes(struct mem_cgroup *memcg)
{
	return memcg_is_limited(memcg) ? BPF_CORE_READ(memcg, memory.max) * page_size() : 0;
}
