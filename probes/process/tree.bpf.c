/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Keeps the set of a process tree (SET_TREE in "sonda_sets", shared with the probes that filter by
 * it) true while processes come and go. User side puts the roots in; from then on every process
 * made by a member is one before its first instruction, and stays one, whoever adopts it, until
 * nothing of it is left: files are closed and timers end after a process counts as exited.
 */
#include "sonda.bpf.h"

PROBE(tree, "process", "Follows descendants for --tree and -- COMMAND", INTERNAL);

/* Who was put into the set here, with the start time: by the time the old bearer of a number is
 * freed a new process may have it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u64);
} tree_members SEC(".maps");

static __always_inline struct set_key member_key(u32 tgid)
{
	return (struct set_key){ .kind = SET_TREE, .a = tgid };
}

static __noinline int member_add(u32 tgid, u64 start_ns)
{
	struct set_key key = member_key(tgid);
	u8 in_set = 1;

	if (bpf_map_update_elem(&tree_members, &tgid, &start_ns, BPF_ANY) ||
	    bpf_map_update_elem(&sonda_sets, &key, &in_set, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __noinline int member_remove(u32 tgid)
{
	struct set_key key = member_key(tgid);

	bpf_map_delete_elem(&sonda_sets, &key);
	bpf_map_delete_elem(&tree_members, &tgid);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(tree_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 maker = BPF_CORE_READ(parent, tgid), tgid = BPF_CORE_READ(child, tgid);

	if (tgid == maker)
		return 0;
	if (set_has(SET_TREE, maker, 0))
		return member_add(tgid, task_start_ns(child));
	/* a stranger, with the number of a member that is gone but not yet freed */
	return set_has(SET_TREE, tgid, 0) ? member_remove(tgid) : 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(tree_free, struct task_struct *task)
{
	u32 tgid = BPF_CORE_READ(task, tgid);
	u64 *start_ns;

	if (BPF_CORE_READ(task, pid) != tgid || !set_has(SET_TREE, tgid, 0))
		return 0;
	start_ns = bpf_map_lookup_elem(&tree_members, &tgid);
	if (start_ns && *start_ns != task_start_ns(task))
		return 0;
	return member_remove(tgid);
}
