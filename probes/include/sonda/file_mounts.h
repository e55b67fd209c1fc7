/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * By which mount a file is to be told of which only the inode is known.
 *
 *	struct mount *mount = mount_showing(dentry);	NULL: its file system is mounted nowhere
 *
 * A file system has several mounts: of parts of it (bind mounts), copies in other namespaces, and an
 * overlay's own of its layers, which lie nowhere. Best is one that the current process sees, then one
 * that anybody sees; of alike that of the whole file system; and it must show the file.
 */
#pragma once

#include "sonda/path.h"
#include "kernel/pagecache.h"

#define MOUNTS_MAX     64 /* those of a file system that are looked at */
#define MOUNT_OWN      4
#define MOUNT_ANYBODYS 2
#define MOUNT_WHOLE    1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct super_block___root {
	struct dentry *s_root;
};
struct mount___ns {
	void *mnt_ns;
};
struct nsproxy___mnt {
	void *mnt_ns;
};
struct task_struct___mnt {
	struct nsproxy___mnt *nsproxy;
};
#pragma clang attribute pop

/* Is the directory entry at or below another, both by their address? Global: it is checked once. */
__noinline int dentry_is_below(u64 dentry, u64 top)
{
	for (u32 i = 0; i < PATH_ROUNDS && dentry; i++) {
		if (dentry == top)
			return 1;
		dentry = (u64)BPF_CORE_READ((struct dentry *)dentry, d_parent);
	}
	return 0;
}

/* Functions of their own: else the compiler works out the offsets where a kernel doesn't have them. */
static __noinline struct mount *mount_beside_pre618(struct mount *mount, struct super_block *sb)
{
	struct list_head *at = BPF_CORE_READ((struct mount___pre618 *)mount, mnt_instance.next);

	if ((void *)at == (void *)sb + bpf_core_field_offset(struct super_block___pre618, s_mounts))
		return NULL;
	return (void *)at - bpf_core_field_offset(struct mount___pre618, mnt_instance);
}

static __noinline struct mount *mount_beside_618(struct mount *mount)
{
	return BPF_CORE_READ((struct mount___618 *)mount, mnt_next_for_sb);
}

static __always_inline struct mount *mount_beside(struct mount *mount, struct super_block *sb)
{
	if (bpf_core_field_exists(((struct mount___618 *)0)->mnt_next_for_sb))
		return mount_beside_618(mount);
	return mount_beside_pre618(mount, sb);
}

/* How well a mount shows the directory entry: more is better, 0 not at all. A namespace may be none, or
 * a number that stands for none. */
__noinline int mount_rank(u64 mount_at, u64 dentry_at)
{
	struct mount *mount = (struct mount *)mount_at;
	struct task_struct___mnt *task = (void *)current_task();
	u64 ns = (u64)BPF_CORE_READ((struct mount___ns *)mount, mnt_ns);
	struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
	struct super_block___root *sb = (void *)BPF_CORE_READ(root, d_sb);
	int rank = MOUNT_ANYBODYS;

	if (!ns || ns >= -4095ull || !dentry_is_below(dentry_at, (u64)root))
		return 0;
	if (ns == (u64)BPF_CORE_READ(task, nsproxy, mnt_ns))
		rank = MOUNT_OWN;
	if (root == BPF_CORE_READ(sb, s_root))
		rank |= MOUNT_WHOLE;
	return rank;
}

/* Global, as the two above: the verifier goes through their loops once, not wherever a file is named. */
__noinline u64 mount_best(u64 dentry_at)
{
	struct super_block *sb = BPF_CORE_READ((struct dentry *)dentry_at, d_sb);
	struct mount *mount = sb_mount(sb), *best = mount;
	int best_rank = 0, rank;

	for (u32 i = 0; i < MOUNTS_MAX && mount; i++) {
		rank = mount_rank((u64)mount, dentry_at);
		if (rank == (MOUNT_OWN | MOUNT_WHOLE))
			return (u64)mount;
		if (rank > best_rank) {
			best = mount;
			best_rank = rank;
		}
		mount = mount_beside(mount, sb);
	}
	return (u64)best;
}

static __always_inline struct mount *mount_showing(struct dentry *dentry)
{
	return (struct mount *)mount_best((u64)dentry);
}
