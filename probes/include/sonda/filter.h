/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The common filters, evaluated in the kernel. Unset they cost nothing: the configuration is
 * rodata, so the verifier removes the code, and the map of sets isn't even created.
 */
#pragma once

/* Which of the common filters make sense for this probe: any of "task" (pid, tid, user, comm, exe,
 * cgroup, tree: about the current task), "errors", "min". */
#define FILTERS(list) static const volatile char sonda_filters[] TAG("filters " list) SEC(".rodata") = list

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct set_key);
	__type(value, u8);
} sonda_sets SEC(".maps");

#define CGROUP_LEVELS 16

static __always_inline bool set_has(u32 kind, u64 a, u64 b)
{
	struct set_key key = {};

	key.kind = kind;
	key.a = a;
	key.b = b;
	return bpf_map_lookup_elem(&sonda_sets, &key) != NULL;
}

static __always_inline bool set_refuses(u32 kind, bool in_set)
{
	return in_set == !!(sonda_conf.sets_negated & (1u << kind));
}

#define SET_ON(kind) (sonda_conf.sets_on & (1u << (kind)))

static __noinline bool cgroup_in_set(struct task_struct *task)
{
	struct kernfs_node *node;

	/* upwards: the task's own cgroup, then its ancestors */
	struct cgroup *cg = task_cgroup(task);

	for (int i = 0; i < CGROUP_LEVELS && cg; i++) {
		node = BPF_CORE_READ(cg, kn);
		if (set_has(SET_CGROUP, kernfs_id(node), 0))
			return true;
		cg = cgroup_parent(cg);
	}
	return false;
}

static __noinline bool exe_in_set(struct task_struct *task)
{
	u64 dev = 0, inode;

	inode = task_exe_inode(task, &dev);
	return inode && set_has(SET_EXE, inode, dev);
}

/* Do the filters want `task`? Neither counts nor leaves sonda itself out. */
static __noinline bool task_in_filters(struct task_struct *task)
{
	u64 comm[2] = {};

	if (SET_ON(SET_PID) && set_refuses(SET_PID, set_has(SET_PID, BPF_CORE_READ(task, tgid), 0)))
		return false;
	if (SET_ON(SET_TID) && set_refuses(SET_TID, set_has(SET_TID, BPF_CORE_READ(task, pid), 0)))
		return false;
	if (SET_ON(SET_UID) && set_refuses(SET_UID, set_has(SET_UID, task_uid(task), 0)))
		return false;
	if (SET_ON(SET_TREE) && set_refuses(SET_TREE, set_has(SET_TREE, BPF_CORE_READ(task, tgid), 0)))
		return false;
	if (SET_ON(SET_CGROUP) && set_refuses(SET_CGROUP, cgroup_in_set(task)))
		return false;
	if (SET_ON(SET_EXE) && set_refuses(SET_EXE, exe_in_set(task)))
		return false;
	if (SET_ON(SET_COMM)) {
		BPF_CORE_READ_STR_INTO(&comm, task, comm);
		if (set_refuses(SET_COMM, set_has(SET_COMM, comm[0], comm[1])))
			return false;
	}
	return true;
}

/*
 * Is an operation of `task` wanted? Call it once per operation, as early as possible. When the
 * answer is no the operation is counted as filtered: return at once. sonda's own are left out
 * uncounted.
 */
static __always_inline bool wanted_task(struct task_struct *task)
{
	if (sonda_conf.self && BPF_CORE_READ(task, tgid) == sonda_conf.self)
		return false;
	if (!sonda_conf.sets_on || task_in_filters(task))
		return true;
	count_filtered();
	return false;
}

/* The same for the current task, of which bpf_get_current_pid_tgid() says `id`. */
static __always_inline bool wanted_id(u64 id)
{
	if (sonda_conf.self && id >> 32 == sonda_conf.self)
		return false;
	if (!sonda_conf.sets_on || task_in_filters(current_task()))
		return true;
	count_filtered();
	return false;
}

/* The same for the current task. */
static __always_inline bool wanted(void)
{
	return wanted_id(sonda_conf.self ? bpf_get_current_pid_tgid() : 0);
}

/*
 * Is a finished operation worth telling under --errors and --min? `err`: 0 or negative errno;
 * `took_ns`: how long it took. When not it is counted as filtered: clean up and return.
 */
static __always_inline bool notable(long err, u64 took_ns)
{
	if ((!sonda_conf.errors_only || err < 0) && (!sonda_conf.min_ns || took_ns >= sonda_conf.min_ns))
		return true;
	count_filtered();
	return false;
}
