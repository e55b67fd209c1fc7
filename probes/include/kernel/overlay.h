/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * In which layer of an overlayfs a file lies: below, as the image brought it, or above, where what is
 * written goes; and which file it is there. overlayfs is mostly a module, whose types not every kernel
 * tells; but from 4.19 to 7.x struct ovl_inode has behind its vfs_inode the pointer __upperdentry, NULL
 * until the file is above. What is read there is believed only if it is a dentry by its own account.
 */
#pragma once

#include "kernel/fs.h"

#define OVERLAYFS_SUPER_MAGIC 0x794c7630

enum overlay_layer {
	OVERLAY_LAYER_NONE, /* no overlayfs */
	OVERLAY_LAYER_LOWER,
	OVERLAY_LAYER_UPPER,
	OVERLAY_LAYER_UNKNOWN,
};

static __always_inline struct dentry *overlay_upper_dentry(struct inode *inode)
{
	return kernel_pointer((void *)inode + bpf_core_type_size(struct inode));
}

static __noinline enum overlay_layer overlay_layer_of(struct inode *inode)
{
	struct dentry *upper;
	struct super_block *super;

	upper = overlay_upper_dentry(inode);
	if (!upper)
		return OVERLAY_LAYER_LOWER;
	super = BPF_CORE_READ(upper, d_sb);
	return super && super == BPF_CORE_READ(upper, d_inode, i_sb) ? OVERLAY_LAYER_UPPER
								     : OVERLAY_LAYER_UNKNOWN;
}

static __always_inline bool on_overlay(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC;
}

/* The file above, of another file system, with a number and a generation that are its own; or NULL. */
static __always_inline struct inode *overlay_upper(struct inode *inode)
{
	if (overlay_layer_of(inode) != OVERLAY_LAYER_UPPER)
		return NULL;
	return BPF_CORE_READ(overlay_upper_dentry(inode), d_inode);
}

/* What the kernel keeps of the layers below, as a number: the same for as long as it knows the inode,
 * whether that is copied up meanwhile or not. */
static __always_inline u64 overlay_lower_mark(struct inode *inode)
{
	return (u64)kernel_pointer((void *)inode + bpf_core_type_size(struct inode) +
				   sizeof(void *));
}
