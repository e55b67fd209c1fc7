/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * How often an alert is told: the first of each, then so many in a window; what is suppressed is counted, and
 * the next that is told says how many were. Both are exact.
 */
#pragma once

#include "abi/policy_subject.h"

#include "file_id.h"
#include "guard.h"

/* The real user id. A worker has that of who asked in what it works with, not in its own. */
static __always_inline u32 subject_uid(struct task_struct *task)
{
	if (DIRECT) {
		task = direct(struct task_struct, task);
		return task->flags & (PF_KTHREAD | PF_IO_WORKER) ? task->cred->uid.val
								 : task->real_cred->uid.val;
	}
	if (BPF_CORE_READ(task, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return BPF_CORE_READ(task, cred, uid.val);
	return task_uid(task);
}

struct alert_limit {
	u64 suppressed; /* all of them, added to atomically; the rest only by who is alone */
	u64 reported;   /* of them told of */
	u64 since_ns;
	u64 told; /* since then */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct policy_alert_key);
	__type(value, struct alert_limit);
} policy_alerts SEC(".maps");

/* An element means that somebody is at that limit: only one can make it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct policy_alert_key);
	__type(value, u32);
} policy_busy SEC(".maps");

static __noinline struct alert_limit *alert_limit_of(const struct policy_rule_row *row,
						     struct policy_alert_key *key)
{
	struct task_struct *task = current_task();
	struct alert_limit *limit, none = {};
	struct inode *program;

	if (!row || !key)
		return NULL;
	key->slot = row->slot;
	key->stamp = row->stamp;
	if (row->alert_per == POLICY_ALERT_USER)
		key->who = (u64)subject_uid(task) + 1; /* 0: all of them */
	if (row->alert_per == POLICY_ALERT_EXE) {
		program = BPF_CORE_READ(task, mm, exe_file, f_inode);
		key->who = BPF_CORE_READ(program, i_ino);
		key->device = BPF_CORE_READ(program, i_sb, s_dev);
	}
	limit = bpf_map_lookup_elem(&policy_alerts, key);
	if (limit)
		return limit;
	if (bpf_map_update_elem(&policy_alerts, key, &none, BPF_NOEXIST) == -E2BIG) {
		key->who = 0;
		key->device = 0;
		bpf_map_update_elem(&policy_alerts, key, &none, BPF_NOEXIST);
	}
	return bpf_map_lookup_elem(&policy_alerts, key);
}

/* May one more be told? Nobody else is at the limit meanwhile. */
static __always_inline bool alert_fits(struct alert_limit *limit, const struct policy_rule_row *row,
				       u64 *ret_suppressed)
{
	u64 now_ns = bpf_ktime_get_boot_ns(), suppressed;

	if (!limit->told || now_ns - limit->since_ns >= row->alert_window_ns) {
		limit->told = 0;
		limit->since_ns = now_ns;
	}
	if (limit->told >= row->alert_most)
		return false;
	limit->told++;
	suppressed = *(volatile u64 *)&limit->suppressed;
	*ret_suppressed = suppressed - limit->reported;
	limit->reported = suppressed;
	return true;
}

/* Is the alert one too many? Counts it, or says how many were. What comes while another is looked at is: so
 * that each is counted once, without a lock, which programs of 5.10 may not hold. */
static __noinline bool alert_suppressed(u32 rule, u32 gen, u64 *ret_suppressed)
{
	const struct policy_rule_row *row = rule_row(gen, rule);
	struct policy_alert_key key = {};
	struct policy_count *count;
	struct alert_limit *limit;
	bool fits = false;
	u32 busy = 1;

	if (!ret_suppressed || !row || !row->alert_most)
		return false;
	limit = alert_limit_of(row, &key);
	if (!limit)
		return false;
	if (!bpf_map_update_elem(&policy_busy, &key, &busy, BPF_NOEXIST)) {
		fits = alert_fits(limit, row, ret_suppressed);
		bpf_map_delete_elem(&policy_busy, &key);
	}
	if (fits)
		return false;
	__sync_fetch_and_add(&limit->suppressed, 1);
	count = bpf_map_lookup_elem(&policy_counts, &row->slot);
	if (count)
		count_add(count->suppressed, 1);
	return true;
}
