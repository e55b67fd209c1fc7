/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Lines of descent: by task, the programs that rules name of which it descends. By the task's address,
 * which is nobody else's until the task is freed: neither its number, nor its parent, nor whose thread it is
 * makes a difference.
 */
#pragma once

#include "abi/policy_ancestry.h"

#include "kernel/task.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, POLICY_LINES);
	__type(key, u64);
	__type(value, struct policy_line);
} policy_lines SEC(".maps");

/* NULL: it isn't known. */
static __always_inline struct policy_line *line_of(struct task_struct *task)
{
	u64 key = (u64)task;

	return bpf_map_lookup_elem(&policy_lines, &key);
}

static __always_inline u64 line_programs(const struct policy_line *line)
{
	return line->programs | line->before;
}
