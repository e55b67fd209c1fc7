/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The insides of file systems: ext4's journal (jbd2), btrfs, xfs: only the fields used.
 */
#pragma once

#include "kernel/fs.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct block_device___journal {
	u32 bd_dev;
};
struct journal_s {
	int j_errno;
	struct block_device___journal *j_fs_dev;
};
struct transaction_run_stats_s {
	u32 rs_handle_count;
	u32 rs_blocks_logged;
};
struct ext4_allocation_request {
	struct inode *inode;
};
struct btrfs_fs_info {
	struct super_block *sb;
};
struct btrfs_root {
	struct btrfs_fs_info *fs_info;
};
struct xfs_mount {
	struct super_block *m_super;
};
struct xlog {
	struct xfs_mount *l_mp;
};
struct xlog_in_core {
	struct xlog *ic_log;
};

#pragma clang attribute pop

static __always_inline u32 journal_device(struct journal_s *journal)
{
	return BPF_CORE_READ(journal, j_fs_dev, bd_dev);
}

#define BTRFS_MAGIC 0x9123683e

/* Of what btrfs_transaction_commit is given: the file system, before 6.2 one of its roots. Nothing but
 * what it leads to tells which. */
static __always_inline u32 btrfs_device(void *at)
{
	struct super_block *sb = BPF_CORE_READ((struct btrfs_fs_info *)at, sb);

	if (BPF_CORE_READ(sb, s_magic) != BTRFS_MAGIC)
		sb = BPF_CORE_READ((struct btrfs_root *)at, fs_info, sb);
	return BPF_CORE_READ(sb, s_dev);
}
