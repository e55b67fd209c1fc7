/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The path of a cgroup in its hierarchy, of whatever version, as a text of an event:
 *
 *	text_cgroup(e, cgroup, node);		its struct kernfs_node *
 */
#pragma once

#include "sonda/path.h"

#define CGROUP_DEPTH_MAX 16

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* renamed in 6.15 (633488947ef6) */
struct kernfs_node___since615 {
	struct kernfs_node *__parent;
};
#pragma clang attribute pop

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->parent))
		return BPF_CORE_READ(node, parent);
	return BPF_CORE_READ((struct kernfs_node___since615 *)node, __parent);
}

/* The name is first read to the area's start, for its length; the path grows at its end. */
static __always_inline int cgroup_put(struct event_slot *slot, struct kernfs_node *node)
{
	const char *name = BPF_CORE_READ(node, name);
	long size = bpf_probe_read_kernel_str(PATH_AREA(slot, 0), PATH_NAME_MAX, name);

	if (size <= 1)
		return -EFAULT;
	return path_put(slot, name, size - 1) ?: path_put_char(slot, '/');
}

__noinline int slot_cgroup(u32 index, u32 field, u64 address)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	struct text *text = path_text(slot, field);
	struct kernfs_node *node = (void *)address, *parent;

	if (!text || path_begin(slot))
		return -EINVAL;
	for (int i = 0; i < CGROUP_DEPTH_MAX && node; i++) {
		parent = kernfs_parent(node);
		if (!parent || cgroup_put(slot, node))
			break;
		node = parent;
	}
	if (PATH_WALK(slot)->at == TEXT_MAX)
		path_put_char(slot, '/');
	return path_end(slot, text);
}

#define text_cgroup(e, field, node) \
	slot_cgroup(event_slot_of(e)->index, __builtin_offsetof(typeof(*(e)), field), (u64)(node))
