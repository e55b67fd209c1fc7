/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How often an alert is told: the first of each, then so many in a window; what is suppressed is counted, and
 * the next that is told says how many were. Exact: a lock holds the two together.
 */
#pragma once

#include "abi/policy_subject.h"

#include "file_id.h"
#include "guard.h"

/* The real user id. A worker has that of who asked in what it works with, not in its own. */
static __always_inline u32 subject_uid(struct task_struct *task)
{
	if (BPF_CORE_READ(task, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return BPF_CORE_READ(task, cred, uid.val);
	return task_uid(task);
}

struct alert_limit {
	struct bpf_spin_lock lock;
	u32 told; /* since since_ns */
	u64 since_ns;
	u64 suppressed; /* since one was told */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct policy_alert_key);
	__type(value, struct alert_limit);
} policy_alerts SEC(".maps");

static __noinline struct alert_limit *alert_limit_of(const struct policy_rule_row *row)
{
	struct task_struct *task = current_task();
	struct policy_alert_key key = {};
	struct alert_limit *limit, none = {};
	struct inode *program;

	if (!row)
		return NULL;
	key.slot = row->slot;
	key.stamp = row->stamp;
	if (row->alert_per == POLICY_ALERT_USER)
		key.who = (u64)subject_uid(task) + 1; /* 0: all of them */
	if (row->alert_per == POLICY_ALERT_EXE) {
		program = BPF_CORE_READ(task, mm, exe_file, f_inode);
		key.who = BPF_CORE_READ(program, i_ino);
		key.device = BPF_CORE_READ(program, i_sb, s_dev);
	}
	limit = bpf_map_lookup_elem(&policy_alerts, &key);
	if (limit)
		return limit;
	if (bpf_map_update_elem(&policy_alerts, &key, &none, BPF_NOEXIST) == -E2BIG) {
		key.who = 0;
		key.device = 0;
	}
	return bpf_map_lookup_elem(&policy_alerts, &key);
}

/* Is the alert one too many? Counts it, or says how many were. */
static __noinline bool alert_suppressed(u32 rule, u32 gen, u64 *ret_suppressed)
{
	const struct policy_rule_row *row = rule_row(gen, rule);
	struct policy_count *count;
	struct alert_limit *limit;
	bool tell = true;
	u64 now_ns;

	if (!ret_suppressed || !row || !row->alert_most)
		return false;
	limit = alert_limit_of(row);
	if (!limit)
		return false;
	now_ns = bpf_ktime_get_boot_ns();
	bpf_spin_lock(&limit->lock);
	if (!limit->told || now_ns - limit->since_ns >= row->alert_window_ns) {
		limit->told = 0;
		limit->since_ns = now_ns;
	}
	if (limit->told < row->alert_most) {
		limit->told++;
		*ret_suppressed = limit->suppressed;
		limit->suppressed = 0;
	} else {
		limit->suppressed++;
		tell = false;
	}
	bpf_spin_unlock(&limit->lock);
	if (tell)
		return false;
	count = bpf_map_lookup_elem(&policy_counts, &row->slot);
	if (count)
		count_add(count->suppressed, 1);
	return true;
}
