/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * In which layer of an overlayfs a file lies: below, as the image brought it, or above, where what is
 * written goes. overlayfs is mostly a module, whose types not every kernel tells; but from 4.19 to 7.x
 * struct ovl_inode has behind its vfs_inode the pointer __upperdentry, NULL until the file is above.
 * What is read there is believed only if it is a dentry by its own account.
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

static __noinline enum overlay_layer overlay_layer_of(struct inode *inode)
{
	struct dentry *upper;
	struct super_block *super;

	upper = kernel_pointer((void *)inode + bpf_core_type_size(struct inode));
	if (!upper)
		return OVERLAY_LAYER_LOWER;
	super = BPF_CORE_READ(upper, d_sb);
	return super && super == BPF_CORE_READ(upper, d_inode, i_sb) ? OVERLAY_LAYER_UPPER
								     : OVERLAY_LAYER_UNKNOWN;
}
