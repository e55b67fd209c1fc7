/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Files, directory entries, mounts, inodes, and what a task has of them: only the fields used.
 */
#pragma once

#include "kernel/direct.h"

#define AT_FDCWD -100 /* a directory descriptor: the working directory */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file_system_type {
	const char *name;
};
struct super_block {
	u32 s_dev;
	unsigned long s_magic;
	struct file_system_type *s_type;
};
struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
	u16 i_mode;
	u32 i_nlink;
	u32 i_rdev;
	u32 i_generation;
	s64 i_size;
	void *i_private;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};
struct qstr {
	u64 hash_len;
	const unsigned char *name;
};
struct dentry_operations {
	char *(*d_dname)(void *, char *, int);
};
struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	const struct dentry_operations *d_op;
	struct super_block *d_sb;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
	int mnt_flags;
};
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	int mnt_id;
};
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	u32 f_flags;
	u32 f_mode;
	s64 f_pos;
	void *private_data;
};
struct filename {
	const char *name;
	const char *uptr; /* as the caller gave it */
};
struct fdtable {
	u32 max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
	struct fdtable fdtab; /* for as long as it is large enough */
};
struct fs_struct {
	struct path root;
	struct path pwd;
};

struct proc_ns_operations {
	const char *name;
};
struct ns_common {
	const struct proc_ns_operations *ops;
};

#pragma clang attribute pop

/* The type of a file: bits 12 to 15 of its mode. */
enum file_type {
	FILE_TYPE_NONE = 0, /* anonymous inodes have none */
	FILE_TYPE_FIFO = 1,
	FILE_TYPE_CHARACTER = 2,
	FILE_TYPE_DIRECTORY = 4,
	FILE_TYPE_BLOCK = 6,
	FILE_TYPE_REGULAR = 8,
	FILE_TYPE_SYMLINK = 10,
	FILE_TYPE_SOCKET = 12,
};

static __always_inline enum file_type inode_type(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_mode) >> 12;
}

/* What a walk up a tree reads of each entry. The members lie side by side in every kernel so far:
 * then one read fetches them. */
struct dentry_link {
	struct dentry *parent;
	u64 hash_len; /* the name's length in the upper half, whatever the byte order */
	const unsigned char *name;
};
struct mount_link {
	struct mount *parent;
	struct dentry *mountpoint;
	struct dentry *root;
};

static __always_inline void dentry_link(struct dentry *dentry, struct dentry_link *out)
{
	u32 first = bpf_core_field_offset(struct dentry, d_parent);

	if (DIRECT) {
		dentry = direct(struct dentry, dentry);
		out->parent = dentry->d_parent;
		out->hash_len = dentry->d_name.hash_len;
		out->name = dentry->d_name.name;
		return;
	}
	if (bpf_core_field_offset(struct dentry, d_name) == first + 8 &&
	    bpf_core_field_offset(struct qstr, name) == 8) {
		bpf_probe_read_kernel(out, sizeof(*out), (void *)dentry + first);
		return;
	}
	out->parent = BPF_CORE_READ(dentry, d_parent);
	out->hash_len = BPF_CORE_READ(dentry, d_name.hash_len);
	out->name = BPF_CORE_READ(dentry, d_name.name);
}

static __always_inline void mount_link(struct mount *mount, struct mount_link *out)
{
	u32 first = bpf_core_field_offset(struct mount, mnt_parent);

	if (DIRECT) {
		mount = direct(struct mount, mount);
		out->parent = mount->mnt_parent;
		out->mountpoint = mount->mnt_mountpoint;
		out->root = mount->mnt.mnt_root;
		return;
	}
	if (bpf_core_field_offset(struct mount, mnt_mountpoint) == first + 8 &&
	    bpf_core_field_offset(struct mount, mnt) == first + 16 &&
	    bpf_core_field_offset(struct vfsmount, mnt_root) == 0) {
		bpf_probe_read_kernel(out, sizeof(*out), (void *)mount + first);
		return;
	}
	out->parent = BPF_CORE_READ(mount, mnt_parent);
	out->mountpoint = BPF_CORE_READ(mount, mnt_mountpoint);
	out->root = BPF_CORE_READ(mount, mnt.mnt_root);
}

/* The mount that the visible part `mnt` belongs to. */
static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Has the name been removed from its directory? (The root of a tree has no name to remove.) */
static __always_inline bool dentry_unlinked(struct dentry *dentry)
{
	if (DIRECT) {
		dentry = direct(struct dentry, dentry);
		return !dentry->d_hash.pprev && dentry->d_parent != dentry;
	}
	return !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry;
}

static __always_inline bool dentry_is_root(struct dentry *dentry)
{
	if (DIRECT)
		return direct(struct dentry, dentry)->d_parent == dentry;
	return BPF_CORE_READ(dentry, d_parent) == dentry;
}

static __always_inline struct dentry *path_dentry(struct path *path)
{
	return DIRECT ? direct(struct path, path)->dentry : BPF_CORE_READ(path, dentry);
}

/* The same for an open file; only for kernels without plain loads, where each read is a call. */
struct file_link {
	struct vfsmount *mnt;
	struct dentry *dentry;
	struct inode *inode;
};
static __always_inline void file_link(struct file *file, struct file_link *out)
{
	u32 first = bpf_core_field_offset(struct file, f_path);

	if (bpf_core_field_offset(struct file, f_inode) == first + 16 &&
	    bpf_core_field_offset(struct path, mnt) == 0 &&
	    bpf_core_field_offset(struct path, dentry) == 8) {
		bpf_probe_read_kernel(out, sizeof(*out), (void *)file + first);
		return;
	}
	out->mnt = BPF_CORE_READ(file, f_path.mnt);
	out->dentry = BPF_CORE_READ(file, f_path.dentry);
	out->inode = BPF_CORE_READ(file, f_inode);
}

/* The type of a file and its number, the same way. */
#define INODE_HEAD_WORDS 9
static __always_inline u64 inode_link(struct inode *inode, u32 *ret_mode)
{
	u32 mode_at = bpf_core_field_offset(struct inode, i_mode);
	u32 nr_at = bpf_core_field_offset(struct inode, i_ino);
	u64 head[INODE_HEAD_WORDS];

	if (!mode_at && nr_at == sizeof(head) - sizeof(u64)) {
		bpf_probe_read_kernel(head, sizeof(head), inode);
		*ret_mode = (u16)head[0];
		return head[INODE_HEAD_WORDS - 1];
	}
	*ret_mode = BPF_CORE_READ(inode, i_mode);
	return BPF_CORE_READ(inode, i_ino);
}

static __always_inline struct vfsmount *path_mount(struct path *path)
{
	return DIRECT ? direct(struct path, path)->mnt : BPF_CORE_READ(path, mnt);
}
