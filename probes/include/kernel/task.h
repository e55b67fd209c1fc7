/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Tasks, their credentials, cgroup and executable: only the fields used. Partial declarations,
 * relocated by CO-RE; what changed between kernels hides in the accessors.
 */
#pragma once

#include "kernel/fs.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	u64 id;
	struct kernfs_node *parent;
	const char *name;
};
/* before 5.5-something vendors kept a union; 5.8 and later have the plain id */

struct cgroup {
	struct kernfs_node *kn;
	int level;
};
/* hierarchy 0 is cgroup v2 */
struct cgroup_root {
	int hierarchy_id;
};
struct cgroup___root {
	struct cgroup_root *root;
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};
struct cgroup___css {
	struct cgroup_subsys_state self;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	u32 val;
} kuid_t;
struct cred {
	kuid_t uid;
	kuid_t euid;
};

struct mm_struct {
	struct file *exe_file;
	unsigned long arg_start, arg_end, env_start, env_end;
};

struct task_struct {
	int pid;
	int tgid;
	u32 flags;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	const struct cred *cred;
	const struct cred *real_cred;
	struct mm_struct *mm;
	struct css_set *cgroups;
	struct fs_struct *fs;
	struct files_struct *files;
	u64 start_boottime;
	int exit_state; /* 0 until it has ended */
	int exit_code;
	unsigned long nvcsw;
	char comm[16];
};
/* start_boottime was real_start_time before 5.5 */
struct task_struct___pre55 {
	u64 real_start_time;
};

#pragma clang attribute pop

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline u32 task_uid(struct task_struct *task)
{
	return BPF_CORE_READ(task, real_cred, uid.val);
}

static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

static __always_inline u64 kernfs_id(struct kernfs_node *node)
{
	return BPF_CORE_READ(node, id);
}

static __always_inline u64 task_cgroup_id(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline struct cgroup *cgroup_parent(struct cgroup *cg)
{
	struct cgroup_subsys_state *parent = BPF_CORE_READ((struct cgroup___css *)cg, self.parent);

	return parent ? BPF_CORE_READ(parent, cgroup) : NULL;
}

/* The current thread's command name; what is behind its end is zero. */
static __always_inline void comm_now(char comm[16])
{
	const u64 *words;

	if (DIRECT) {
		words = (const u64 *)bpf_get_current_task_btf()->comm;
		((u64 *)comm)[0] = words[0];
		((u64 *)comm)[1] = words[1];
	} else {
		bpf_get_current_comm(comm, 16);
	}
}

/* How often the current thread has gone to sleep; where asking is dear 0. */
#define SWITCHES_KNOWN DIRECT
static __always_inline u64 current_switches(void)
{
	return SWITCHES_KNOWN ? bpf_get_current_task_btf()->nvcsw : 0;
}

/* Its id if it is a cgroup of version 2, else 0: ids of different hierarchies are the same. */
static __always_inline u64 cgroup_v2_id(struct cgroup *cg)
{
	struct cgroup___root *c = (void *)cg;

	return BPF_CORE_READ(c, root, hierarchy_id) ? 0 : BPF_CORE_READ(cg, kn, id);
}

/* When the process (not the thread) began, CLOCK_BOOTTIME. */
static __always_inline u64 task_start_ns(struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	if (bpf_core_field_exists(leader->start_boottime))
		return BPF_CORE_READ(leader, start_boottime);
	return BPF_CORE_READ((struct task_struct___pre55 *)leader, real_start_time);
}

/* Inode number of the task's executable and its device; 0 for kernel threads. */
static __always_inline u64 task_exe_inode(struct task_struct *task, u64 *ret_dev)
{
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);

	if (!inode)
		return 0;
	*ret_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	return BPF_CORE_READ(inode, i_ino);
}
