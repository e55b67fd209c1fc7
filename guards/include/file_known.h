/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What is known without looking a file up: that neither it nor its place is in the filter; and that its
 * directory was walked up from before, and none of those above has rules.
 *
 * Such a walk is remembered as one word, made of all that its result hangs on: the directory, the mount it was
 * reached by, and the world: the rules, and where all directories and mounts are. Of the last the kernel itself
 * counts each change, under the locks that every move takes: whoever makes it, by whatever way, it makes all
 * words stale; and so does a directory that is made, for it may get the memory and the number of one that is gone.
 * The world is read before anything else, so that a walk during which something moves is remembered as one of before.
 *
 * Words are sums of products with numbers that nobody knows: no two directories can be found that share one.
 *
 * Kernels without bpf_rdonly_cast() remember nothing: to them, reading those counts is as dear as walking. Nor is anything
 * remembered where nothing can be refused: there no program sees directories made.
 */
#pragma once

#include "subject.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct file_filter);
} file_filter SEC(".maps");

#define FILE_KNOWN_BITS 13
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << FILE_KNOWN_BITS);
	__type(key, u32);
	__type(value, u64);
} file_known SEC(".maps");

/* Counts of changes, odd during one; and the time. */
extern const void rename_lock __ksym __weak;
extern const void mount_lock __ksym __weak;
extern const void jiffies_64 __ksym __weak;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seqcount {
	u32 sequence;
};
struct dentry___flags {
	unsigned int d_flags;
};

#pragma clang attribute pop

/* They were plain numbers before 6.10. */
enum dentry_flags {
	DCACHE_OP_REVALIDATE = 4,
};

static __always_inline bool filter_seen(const struct file_filter *filter, u64 inode)
{
	return filter->seen[FILE_FILTER_AT(inode)] & FILE_SEEN;
}

/* Has that name a place in the directory `dir`, by the filter? On a stack of its own: on 5.10 there is little left. */
static __noinline bool filter_seen_place(const struct file_filter *filter, u64 dir,
					 struct dentry *dentry)
{
	struct dentry_link link;
	u64 len, first;

	if (DIRECT) { /* not by another cast: registers are short */
		link.hash_len = dentry->d_name.hash_len;
		link.name = dentry->d_name.name;
	} else {
		dentry_link(dentry, &link);
	}
	len = link.hash_len >> 32;
	first = name_first(link.name, len);
	return filter->seen[FILE_FILTER_PLACE_AT(dir, first, len)] & FILE_SEEN_PLACE;
}

static __always_inline u64 moves_of(const void *lock)
{
	return direct(struct seqcount, lock)->sequence;
}

/*
 * All that a walk's result hangs on and that isn't about its directory: a sum of what only grows, so that it comes
 * back to no number. The counts have 32 bits, which somebody could go through in half an hour; above them it has the
 * time, in steps of 16 to 164 seconds.
 */
static __always_inline u64 world_now(const struct file_filter *filter)
{
	u64 world = *(volatile u64 *)&filter->epoch;

	world += kernel_word(&jiffies_64) >> 14 << 32;
	return world + moves_of(&rename_lock) + moves_of(&mount_lock);
}

/* Does nothing move, and can that be known? */
static __always_inline bool world_still(void)
{
	if (!DIRECT)
		return false;
	return &rename_lock && &mount_lock && &jiffies_64 &&
	       !((moves_of(&rename_lock) | moves_of(&mount_lock)) & 1);
}

/* Another world from now on, for both generations. */
static __always_inline void world_renew(void)
{
	struct file_filter *filter;

	_Pragma("unroll") for (u32 gen = 0; gen < 2; gen++)
	{
		u32 at = gen;

		filter = bpf_map_lookup_elem(&file_filter, &at);
		if (filter && filter->any)
			__sync_fetch_and_add(&filter->epoch, 1);
	}
}

/* `pointer`, through which no machine reads before it has read what `word` is made of. */
static __always_inline void *read_after(void *pointer, u64 word)
{
	asm volatile("%1 &= 0\n\t%0 += %1" : "+r"(pointer), "+r"(word));
	return pointer;
}

/*
 * May a directory be another, or elsewhere, without this kernel having moved it? Then what was found from
 * there may not be remembered: the file system asks another machine where things are.
 */
static __always_inline u32 dentry_fleeting(struct dentry *dentry)
{
	u32 asks = DCACHE_OP_REVALIDATE;

	if (bpf_core_enum_value_exists(enum dentry_flags, DCACHE_OP_REVALIDATE))
		asks = bpf_core_enum_value(enum dentry_flags, DCACHE_OP_REVALIDATE);
	return ((struct dentry___flags *)dentry)->d_flags & asks;
}

/* Likewise when several directories of the file system may have one number, as snapshots have: only of these
 * it is known that they don't. */
static __always_inline u32 sb_fleeting(struct super_block *sb)
{
	switch (sb->s_magic) {
	case 0xef53:     /* ext2, ext3, ext4 */
	case 0x58465342: /* xfs */
	case 0xf2f52010: /* f2fs */
	case 0x01021994: /* tmpfs */
	case 0x858458f6: /* ramfs */
	case 0x794c7630: /* overlay */
	case 0x73717368: /* squashfs */
	case 0xe0f5e1e2: /* erofs */
		return 0;
	default:
		return 1;
	}
}

/* Of a pointer into the kernel, a number: the verifier lets nobody multiply a pointer. */
static __always_inline u64 pointer_number(const void *pointer, const void *base)
{
	asm volatile("%0 -= %1" : "+r"(pointer) : "r"(base));
	return (u64)pointer;
}

/* `reached`: the mount, or, where the hook doesn't tell, the file system. */
static __always_inline u64 known_word(const struct file_filter *filter, u64 world,
				      struct dentry *parent, u64 dir, const void *reached)
{
	return world + pointer_number(parent, filter) * filter->secrets[0] +
	       pointer_number(reached, filter) * filter->secrets[1] + dir * filter->secrets[2];
}

/* Where it lies. */
static __always_inline u64 *known_place(u64 word)
{
	u32 at = word >> (64 - FILE_KNOWN_BITS);

	return bpf_map_lookup_elem(&file_known, &at);
}

/* Has a walk found nothing there? */
static __always_inline bool known_holds(u64 word)
{
	u64 *known = known_place(word);

	return known && *(volatile u64 *)known == word;
}

static __always_inline void known_keep(u64 word)
{
	u64 *known = known_place(word);

	if (known && world_still())
		*(volatile u64 *)known = word;
}

enum file_strength {
	FILE_STRENGTH_LSM = 1,
	FILE_STRENGTH_FMOD_RET = 2,
	FILE_STRENGTH_AFTER = 3,
};

/* An operation on a file: on one that is or was opened, or on a name. */
struct operation {
	u32 strength;
	u32 bits;             /* enum file_operation; 0: the file's mode tells */
	bool opened;          /* known when it is compiled; it is on */
	struct file *file;    /* that is or was opened, */
	struct dentry *entry; /* or on this name */
};

static __always_inline struct inode *operation_inode(const struct operation *op)
{
	return op->opened ? op->file->f_inode : op->entry->d_inode;
}

static __always_inline struct dentry *operation_dentry(const struct operation *op)
{
	return op->opened ? op->file->f_path.dentry : op->entry;
}

/* NULL: the hook doesn't tell. */
static __always_inline struct vfsmount *operation_mount(const struct operation *op)
{
	return op->opened ? op->file->f_path.mnt : NULL;
}

static __always_inline const void *operation_reached(const struct operation *op)
{
	return op->opened ? (void *)op->file->f_path.mnt : (void *)op->entry->d_sb;
}

/*
 * Is it plain that no rule is about the file, and nothing to be learned? It may be that none is, though it isn't.
 * *ret_known: what to remember if a walk from its directory finds nothing.
 */
static __always_inline bool plainly_free(const struct file_filter *filter,
					 const struct operation *op, u64 *ret_known)
{
	struct dentry *dentry, *parent;
	struct inode *inode, *dir;
	u64 world = 0, number;

	if (DIRECT && filter->under && op->strength != FILE_STRENGTH_AFTER)
		world = world_now(filter);
	inode = operation_inode(op);
	if (inode && filter_seen(filter, inode->i_ino))
		return false;
	dentry = operation_dentry(op);
	parent = dentry->d_parent;
	dir = parent->d_inode;
	number = dir->i_ino;
	if (filter_seen(filter, number) && filter_seen_place(filter, number, dentry))
		return false;
	if (!filter->under)
		return true;
	if (!DIRECT || op->strength == FILE_STRENGTH_AFTER)
		return false;
	*ret_known = known_word(filter, world, parent, number, operation_reached(op));
	return known_holds(*ret_known);
}
