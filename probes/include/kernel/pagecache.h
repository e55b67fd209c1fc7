/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The page cache: pages and folios, the file they belong to, and where a file that is known only by
 * its inode is mounted. Only the fields used.
 */
#pragma once

#include "kernel/page.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct address_space {
	struct inode *host;
};
struct page {
	unsigned long flags;
	unsigned long compound_head;
	struct address_space *mapping;
};
/* who holds it for himself alone; flags are in the low bits */
struct rw_semaphore___owner {
	struct {
		s64 counter;
	} owner;
};
struct inode___lock {
	struct rw_semaphore___owner i_rwsem;
};
/* with CONFIG_PREEMPT_RT */
struct rt_mutex_base {
	struct task_struct *owner;
};
struct rwbase_rt {
	struct rt_mutex_base rtmutex;
};
struct rw_semaphore___rt {
	struct rwbase_rt rwbase;
};
struct inode___lock_rt {
	struct rw_semaphore___rt i_rwsem;
};
/* of a page within a larger one: where that begins, or from 7.0 on possibly the mask that leads there */
struct page___70 {
	unsigned long compound_info;
};
struct folio {
	unsigned long flags;
	struct address_space *mapping;
	unsigned int _nr_pages;
};
/* the number of pages has this name before 6.15 (4996fc547f5b) */
struct folio___pre615 {
	unsigned int _folio_nr_pages;
};
/* the flags are a struct from 6.18 on (53fbef56e07d) */
struct page_flags___618 {
	unsigned long f;
};
struct folio___618 {
	struct page_flags___618 flags;
};

struct hlist_node {
	struct hlist_node *next;
};
struct list_head {
	struct list_head *next;
};
struct inode___aliases {
	struct hlist_head i_dentry;
};
struct dentry___alias {
	struct hlist_node d_alias;
};
/* it was in a union with a name before 7.0 */
struct dentry___pre70 {
	union {
		struct hlist_node d_alias;
	} d_u;
};
/* a super block's mounts are a list of its own from 6.18 on */
struct super_block___mounts {
	struct mount *s_mounts;
};
struct super_block___pre618 {
	struct list_head s_mounts;
};
struct mount___pre618 {
	struct list_head mnt_instance;
};
struct mount___618 {
	struct mount *mnt_next_for_sb;
};

#pragma clang attribute pop

enum pageflags {
	PG_head = 6, /* only the names count */
	PG_writeback = 1,
};

static __always_inline bool folio_is_large(struct folio *folio)
{
	unsigned long flags;

	if (bpf_core_field_exists(((struct folio___618 *)folio)->flags.f))
		flags = ((struct folio___618 *)folio)->flags.f;
	else
		flags = folio->flags;
	return flags & (1ul << bpf_core_enum_value(enum pageflags, PG_head));
}

/* How much of its file a folio (as a tp_btf program is given it) holds. */
static __always_inline u64 folio_bytes(struct folio *folio)
{
	u64 pages = 1;

	if (!folio_is_large(folio))
		return page_size();
	if (bpf_core_field_exists(folio->_nr_pages))
		pages = folio->_nr_pages;
	else if (bpf_core_field_exists(((struct folio___pre615 *)folio)->_folio_nr_pages))
		pages = ((struct folio___pre615 *)folio)->_folio_nr_pages;
	return pages * page_size();
}

/*
 * Does the current task write to the file? File systems hold its lock for themselves alone while they do, and
 * while they cut it, but not to read it.
 */
static __noinline bool inode_is_written(struct inode *inode)
{
	struct inode___lock *plain = (struct inode___lock *)inode;
	struct inode___lock_rt *rt = (struct inode___lock_rt *)inode;
	u64 owner = 0;

	if (bpf_core_field_exists(plain->i_rwsem.owner))
		owner = BPF_CORE_READ(plain, i_rwsem.owner.counter);
	else if (bpf_core_field_exists(rt->i_rwsem.rwbase))
		owner = (u64)BPF_CORE_READ(rt, i_rwsem.rwbase.rtmutex.owner);
	return owner && !(owner & 1) && (owner & ~7ull) == bpf_get_current_task();
}

/* The first page of those that `page` is one of. A mask has ones above what any folio's pages take. */
static __always_inline struct page *page_head(struct page *page)
{
	unsigned long info, own;

	if (bpf_core_field_exists(page->compound_head)) {
		info = BPF_CORE_READ(page, compound_head);
		return info & 1 ? (struct page *)(info - 1) : page;
	}
	info = BPF_CORE_READ((struct page___70 *)page, compound_info);
	if (!(info & 1))
		return page;
	info--;
	if (info >> 32 != 0xffffffff)
		return (struct page *)info;
	/* as a number: the verifier lets nobody mask a pointer */
	bpf_probe_read_kernel(&own, sizeof(own), &page);
	return (struct page *)(own & info);
}

/* Is it being written back? */
static __always_inline bool page_is_written(struct page *page)
{
	struct page *head = page_head(page);
	unsigned long flags;

	if (bpf_core_field_exists(((struct folio___618 *)head)->flags.f))
		flags = BPF_CORE_READ((struct folio___618 *)head, flags.f);
	else
		flags = BPF_CORE_READ(head, flags);
	return flags & (1ul << bpf_core_enum_value(enum pageflags, PG_writeback));
}

/* The file whose content a page is, or NULL: of no file. */
static __always_inline struct inode *page_inode(struct page *page)
{
	struct address_space *mapping = BPF_CORE_READ(page_head(page), mapping);

	if (!mapping || (unsigned long)mapping & 3) /* anonymous, or not a file's */
		return NULL;
	return BPF_CORE_READ(mapping, host);
}

/* A name of the inode, or NULL: it has none left. */
static __always_inline struct dentry *inode_dentry(struct inode *inode)
{
	struct hlist_node *alias = BPF_CORE_READ((struct inode___aliases *)inode, i_dentry.first);

	if (!alias)
		return NULL;
	if (bpf_core_field_exists(struct dentry___alias, d_alias))
		return (void *)alias - bpf_core_field_offset(struct dentry___alias, d_alias);
	return (void *)alias - bpf_core_field_offset(struct dentry___pre70, d_u.d_alias);
}

/* The first of a file system's mounts, or NULL: from 6.18 on the newest, before the oldest. */
static __always_inline struct mount *sb_mount(struct super_block *sb)
{
	struct list_head *at;

	if (bpf_core_field_exists(((struct mount___618 *)0)->mnt_next_for_sb))
		return BPF_CORE_READ((struct super_block___mounts *)sb, s_mounts);
	at = BPF_CORE_READ((struct super_block___pre618 *)sb, s_mounts.next);
	return (void *)at - bpf_core_field_offset(struct mount___pre618, mnt_instance);
}
