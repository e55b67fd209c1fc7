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
 * When a directory is renamed, all below it have other paths. The kernel counts its renames for itself: where
 * its symbol can be had (CONFIG_KALLSYMS_ALL) a name is good while that count stands, and after that if the
 * names of the directories above are what they were. Elsewhere those are compared each time.
 *
 * Where only the inode is known, as in the page cache: inode_named(inode), inode_name_label(), and
 * inode_device() for the device.
 */
#pragma once

#include "sonda/file_mounts.h"

#define FILE_NAME_MAX   96
#define FILE_NAMES_KEPT 8192

/* The name was this one's, when the path was walked: a dentry's memory is used again. */
struct file_name {
	u64 inode;
	u64 hash_len; /* begun with the directory's address: another's name has another */
	u64 above;
	u64 stands; /* see names_stand() */
	u64 id;     /* of the path */
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

struct seqcount {
	u32 sequence;
} __attribute__((preserve_access_index));
/* A seqlock_t, which begins with its struct seqcount. */
extern const void rename_lock __ksym __weak;

#define RENAMES_COUNTED (&rename_lock != NULL)
static __always_inline u64 renames_counted(void)
{
	struct seqcount *renames = (void *)&rename_lock;

	return DIRECT ? direct(struct seqcount, renames)->sequence
		      : BPF_CORE_READ(renames, sequence);
}

/* A number of the name of `dentry` and those of the directories above it, in its file system. */
#define NAMES_ABOVE_MAX 32
static __noinline u64 names_above(struct dentry *dentry)
{
	struct dentry_link link = {};
	u64 id = 0;

	for (u32 i = 0; i < NAMES_ABOVE_MAX && dentry; i++) {
		dentry_link(dentry, &link);
		if (link.parent == dentry)
			break;
		id = id_mix(id, link.hash_len);
		dentry = link.parent;
	}
	return id;
}

/* While this number stays what it was, neither it nor a directory above has another name. */
static __always_inline u64 names_stand(struct dentry *dentry)
{
	return RENAMES_COUNTED ? renames_counted() : names_above(dentry);
}

static __always_inline u64 dentry_hash_len(struct dentry *dentry)
{
	return DIRECT ? direct(struct dentry, dentry)->d_name.hash_len
		      : BPF_CORE_READ(dentry, d_name.hash_len);
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
	to->id = labels_id(to->path, sizeof(to->path), 0);
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

static __noinline bool file_name_holds(struct file_name *name, struct dentry *dentry, u64 stands)
{
	if (!name || !dentry || name->inode != dentry_inode_nr(dentry) ||
	    name->hash_len != dentry_hash_len(dentry))
		return false;
	if (name->stands == stands)
		return true;
	if (!RENAMES_COUNTED || name->above != names_above(dentry))
		return false;
	name->stands = stands;
	return true;
}

/* The kept name of `dentry`, found at `mount` when it has to be walked; NULL: it can't be kept. */
static __noinline struct file_name *file_named(struct dentry *dentry, struct mount *mount)
{
	u64 key = (u64)dentry, stands, above;
	struct file_name *name;

	if (!dentry || !mount)
		return NULL;
	stands = names_stand(dentry);
	name = bpf_map_lookup_elem(&file_names, &key);
	if (file_name_holds(name, dentry, stands))
		return name;
	if (!name) {
		bpf_map_update_elem(&file_names, &key, &file_name_none, BPF_NOEXIST);
		name = bpf_map_lookup_elem(&file_names, &key);
	}
	above = names_above(dentry);
	if (!name || file_name_walk(name, dentry, mount))
		return NULL;
	name->hash_len = dentry_hash_len(dentry);
	name->inode = dentry_inode_nr(dentry);
	name->above = above;
	name->stands = stands;
	return name;
}

/*
 * Numbers of names, for who only has to tell paths apart: in a place that the entry's address gives,
 * which costs a tenth of looking the name up. Of two that have the same place the last is there.
 */
struct file_name_near {
	u64 dentry; /* written last, and taken away first */
	u64 inode;
	u64 hash_len;
	u64 stands;
	u64 id;
	u64 pad[3]; /* places of different files are in different cache lines */
};
#define FILE_NAMES_NEAR_BITS 12
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << FILE_NAMES_NEAR_BITS);
	__type(key, u32);
	__type(value, struct file_name_near);
} file_names_near SEC(".maps");

static __always_inline struct file_name_near *file_name_place(struct dentry *dentry)
{
	u32 place = id_mix(0, (u64)dentry) >> (64 - FILE_NAMES_NEAR_BITS);

	return bpf_map_lookup_elem(&file_names_near, &place);
}

/* Puts the number where it is found next time. */
static __always_inline u64 file_name_keep_near(struct file_name_near *near, struct dentry *dentry,
					       const struct file_name *name)
{
	if (!name)
		return 0;
	near->dentry = 0;
	barrier();
	near->inode = name->inode;
	near->hash_len = name->hash_len;
	near->stands = name->stands;
	near->id = name->id;
	barrier();
	near->dentry = (u64)dentry;
	return name->id;
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

static __always_inline struct file_name *file_name_of(struct file *file)
{
	return file_named(file_dentry(file), file_mount(file));
}

/* Its entry, as a number: verifiers let nobody count with a pointer. Only where DIRECT. */
static __always_inline struct dentry *file_dentry_number(struct file *file)
{
	return (struct dentry *)kernel_word(&file->f_path.dentry);
}

/* The number of the path of a file with that entry and inode; 0: it has none that could be kept. */
static __always_inline u64 file_name_id(struct file *file, struct dentry *dentry, u64 inode_nr)
{
	struct file_name_near *near = file_name_place(dentry);
	u64 id;

	if (!dentry || !near)
		return 0;
	id = near->id;
	barrier();
	if (near->inode == inode_nr && near->hash_len == dentry_hash_len(dentry) &&
	    near->stands == names_stand(dentry) && *(volatile u64 *)&near->dentry == (u64)dentry)
		return id;
	return file_name_keep_near(near, dentry, file_named(dentry, file_mount(file)));
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

/* As file_named(), and the mount is looked for only where the path has to be walked. */
static __noinline struct file_name *dentry_named(struct dentry *dentry)
{
	u64 key = (u64)dentry;
	struct file_name *name;

	if (!dentry)
		return NULL;
	name = bpf_map_lookup_elem(&file_names, &key);
	if (file_name_holds(name, dentry, names_stand(dentry)))
		return name;
	return file_named(dentry, mount_showing(dentry));
}

static __always_inline struct file_name *inode_named(struct inode *inode)
{
	if (inode_is_metadata(inode))
		return NULL;
	return dentry_named(inode_dentry(inode));
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
