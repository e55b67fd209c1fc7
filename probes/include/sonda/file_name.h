/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Names of files as labels of metric tables. A path is walked once, when a name is first seen, and
 * again when it has been renamed or replaced; then one look-up gives it.
 *
 *	struct file_name *name = file_named(file_dentry(file), file_mount(file));
 *	count_it(name, ...);			a function of its own: the key is large for the stack
 *		...
 *		file_name_label(key.path, name);
 *
 * A path that is too long for the label keeps its end, behind ".../".
 *
 * Where only the inode is known, as in the page cache: inode_named(inode), inode_name_label(), and
 * inode_device() for the device.
 */
#pragma once

#include "sonda/path.h"
#include "kernel/pagecache.h"

#define FILE_NAME_MAX   96
#define FILE_NAMES_KEPT 8192

/* The name was this one's, when the path was walked: a dentry's memory is used again. */
struct file_name {
	u64 inode;
	u64 parent;
	u64 hash_len;
	char path[FILE_NAME_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FILE_NAMES_KEPT);
	__type(key, u64); /* struct dentry */
	__type(value, struct file_name);
} file_names SEC(".maps");
static const struct file_name file_name_none;

/* Where a path is walked: never sent. */
struct file_name_draft {
	struct text path;
};

static __always_inline u64 dentry_inode_nr(struct dentry *dentry)
{
	if (DIRECT)
		return direct(struct dentry, dentry)->d_inode->i_ino;
	return BPF_CORE_READ(dentry, d_inode, i_ino);
}

/* The draft's path, or its end, as a label. */
static __noinline int file_name_copy(struct event_slot *slot, struct file_name *to)
{
	struct text *text;
	u32 at, size;

	if (!slot || !to)
		return -EINVAL;
	text = (void *)slot->body;
	size = text->size & ~TEXT_CUT;
	at = text->at;
	if (size > FILE_NAME_MAX - 1) {
		at += size - (FILE_NAME_MAX - 1);
		size = FILE_NAME_MAX - 1;
	}
	barrier_var(size); /* or 5.10 knows the bounds of another register */
	barrier_var(at);
	if (size > FILE_NAME_MAX - 1 || at >= EVENT_MAX)
		return -E2BIG;
	__builtin_memset(to->path, 0, sizeof(to->path));
	bpf_probe_read_kernel(to->path, size, &slot->body[at]);
	if (size == FILE_NAME_MAX - 1)
		__builtin_memcpy(to->path, "...", 3);
	return 0;
}

static __always_inline int file_name_walk(struct file_name *to, struct dentry *dentry,
					  struct mount *mount)
{
	struct file_name_draft *draft = event_new(file_name_draft);

	if (!draft || !to)
		return -EBUSY;
	text_path_at(draft, path, dentry, mount);
	file_name_copy(event_slot_of(draft), to);
	return event_release(draft);
}

/* The kept name of `dentry`, found at `mount` when it has to be walked; NULL: it can't be kept. */
static __noinline struct file_name *file_named(struct dentry *dentry, struct mount *mount)
{
	struct dentry_link link = {};
	struct file_name *name;
	u64 key = (u64)dentry, inode;

	if (!dentry || !mount)
		return NULL;
	dentry_link(dentry, &link);
	inode = dentry_inode_nr(dentry);
	name = bpf_map_lookup_elem(&file_names, &key);
	if (name && name->inode == inode && name->parent == (u64)link.parent &&
	    name->hash_len == link.hash_len)
		return name;
	if (!name) {
		bpf_map_update_elem(&file_names, &key, &file_name_none, BPF_NOEXIST);
		name = bpf_map_lookup_elem(&file_names, &key);
	}
	if (!name || file_name_walk(name, dentry, mount))
		return NULL;
	name->parent = (u64)link.parent;
	name->hash_len = link.hash_len;
	name->inode = inode;
	return name;
}

static __always_inline struct dentry *file_dentry(struct file *file)
{
	return path_dentry(&file->f_path);
}

static __always_inline struct mount *file_mount(struct file *file)
{
	struct vfsmount *mnt = path_mount(&file->f_path);

	return mnt ? mount_of(mnt) : NULL;
}

/* Puts a name into a label of FILE_NAME_MAX bytes; NULL leaves it empty. */
#define file_name_label(label, name)                                          \
	do {                                                                  \
		if (name)                                                     \
			__builtin_memcpy(label, (name)->path, FILE_NAME_MAX); \
	} while (0)

/* A block device's own pages hold the metadata of its file system: they have no name. */
static __always_inline bool inode_is_metadata(struct inode *inode)
{
	return inode_type(inode) == FILE_TYPE_BLOCK;
}

static __always_inline struct file_name *inode_named(struct inode *inode)
{
	if (inode_is_metadata(inode))
		return NULL;
	return file_named(inode_dentry(inode), sb_mount(BPF_CORE_READ(inode, i_sb)));
}

static __always_inline u32 inode_device(struct inode *inode)
{
	return inode_is_metadata(inode) ? BPF_CORE_READ(inode, i_rdev)
					: BPF_CORE_READ(inode, i_sb, s_dev);
}

/* As file_name_label(), and metadata are called "[device]". */
#define inode_name_label(label, inode, name)                    \
	do {                                                    \
		if (inode_is_metadata(inode))                   \
			__builtin_memcpy(label, "[device]", 8); \
		file_name_label(label, name);                   \
	} while (0)
