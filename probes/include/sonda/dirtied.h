/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who really writes: a page of a file becomes dirty in the process that changed it, by write(2) or
 * through a mapping; what carries it to the disk later is a kernel thread.
 *
 *	#include "sonda/dirtied.h"
 *	static __noinline int page_dirtied(struct inode *inode, u64 bytes) { ... }
 *	DIRTIED()			the programs that call it; in the parentheses OPTIONAL("...")
 *
 * For write-back, which has only the page: page_dirtied() notes the dirtier with dirtier_keep(inode),
 * and dirtier_of(page_inode(page)) finds it. It is the last who dirtied the file.
 */
#pragma once

#include "kernel/pagecache.h"
#include "sonda/cause.h"

#define DIRTIERS_KEPT 8192

static __noinline int page_dirtied(struct inode *inode, u64 bytes);

/* The page (from 5.18 on folio) was clean till now. */
#define DIRTIED(...)                                                                               \
	ALT(dirtied, 1) __VA_ARGS__ SEC("?tp_btf/writeback_dirty_folio")                           \
	int BPF_PROG(folio_dirtied, struct folio *folio, struct address_space *mapping)            \
	{                                                                                          \
		return mapping ? page_dirtied(mapping->host, folio_bytes(folio)) : 0;              \
	}                                                                                          \
	ALT(dirtied, 2) __VA_ARGS__ SEC("?tp_btf/writeback_dirty_page")                            \
	int BPF_PROG(page_dirtied_510, struct page *page, struct address_space *mapping)           \
	{                                                                                          \
		return mapping ? page_dirtied(mapping->host, page_size()) : 0;                     \
	}

/* LRU: a file is forgotten when many others were written since. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, DIRTIERS_KEPT);
	__type(key, u64); /* struct inode */
	__type(value, struct cause);
} dirtiers SEC(".maps");

/* The current task is the dirtier of `inode`. Cheap when it was already. */
static __noinline int dirtier_keep(struct inode *inode)
{
	u64 key = (u64)inode;
	struct cause cause = {};

	cause_now(&cause);
	return bpf_map_update_elem(&dirtiers, &key, &cause, BPF_ANY);
}

/* Who dirtied `inode` last, or NULL. */
static __always_inline struct cause *dirtier_of(struct inode *inode)
{
	u64 key = (u64)inode;

	return inode ? bpf_map_lookup_elem(&dirtiers, &key) : NULL;
}
