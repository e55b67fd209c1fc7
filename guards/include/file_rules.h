/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which rules are about a file: by its inode, by its place, and by the directories above it.
 *
 * The way up is made of what the kernel has in memory: no path is built and nothing is read from the
 * caller, so links, mounts, namespaces and chroots make no difference. A file that comes to a place
 * that has rules is learned by its inode, so that its other names are covered from then on.
 */
#pragma once

#include "file_known.h"

/* Directories on the way up. What lies deeper counts as below every directory that has rules. */
#define FILE_LEVELS  48
/* The same above the mount it was reached by, all mounts together. */
#define MOUNT_LEVELS 16

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct file_rules);
} file_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} file_trial SEC(".maps");

/* Not read here: it lies where the guard lies. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct file_proof);
} file_proof SEC(".maps");

/* What was found of one file. */
struct file_found {
	struct rule_set rules;
	u32 gen;
	u32 flags; /* enum file_object_flag of the file itself */
};

/* The file of that id has come to a place of the generation `gen`. */
static __noinline int object_learn(const struct file_id *id, u32 gen, const struct file_object *at)
{
	struct file_key key = { .gen = gen };
	struct file_filter *filter;
	struct file_object *known;

	if (!id || !at)
		return 0;
	filter = bpf_map_lookup_elem(&file_filter, &gen);
	if (!filter)
		return 0;
	key.id = *id;
	known = bpf_map_lookup_elem(&file_objects, &key);
	if (known) {
		set_add(&known->self, &at->self);
		set_add(&known->under, &at->under);
		set_add(&known->subject, &at->subject);
		known->flags |= at->flags;
		known->line |= at->line;
	} else {
		filter->seen[FILE_FILTER_AT(id->inode)] |= FILE_SEEN;
		bpf_map_update_elem(&file_objects, &key, at, BPF_ANY);
	}
	__sync_fetch_and_add(&filter->epoch, 1); /* from now on, and not before */
	return 0;
}

/* In both generations: the one that isn't in force may be gone back to. */
static __always_inline void object_learn_all(const struct file_id *id, const struct file_id *dir,
					     const struct dentry_link *link)
{
	struct file_object *parent, *at;

	_Pragma("unroll") for (u32 gen = 0; gen < 2; gen++)
	{
		parent = object_of(dir, gen);
		at = parent ? object_at(parent, dir, gen, link) : NULL;
		if (at)
			object_learn(id, gen, at);
	}
}

/* The file has lost its last name: its number will be another's. */
static __noinline int object_forget(const struct file_id *id)
{
	struct file_key key = {};

	if (!id)
		return 0;
	key.id = *id;
	_Pragma("unroll") for (u32 gen = 0; gen < 2; gen++)
	{
		key.gen = gen;
		bpf_map_delete_elem(&file_objects, &key);
	}
	return 0;
}

/* The place `link` in the directory `dir`. What is there is known by the id `own`, if it exists; it is
 * the file itself, or a directory above it. */
static __noinline int place_add(struct file_found *found, const struct file_id *dir,
				const struct dentry_link *link, const struct file_id *own,
				bool is_file)
{
	struct file_object *parent, *at;

	if (!found || !dir || !link || !own)
		return 0;
	parent = object_of(dir, found->gen);
	at = parent ? object_at(parent, dir, found->gen, link) : NULL;
	if (!at)
		return 0;
	set_add(&found->rules, &at->under);
	if (is_file) {
		set_add(&found->rules, &at->self);
		found->flags |= at->flags;
	}
	if (own->inode && !object_of(own, found->gen))
		object_learn_all(own, dir, link);
	return 0;
}

/* The file itself, by its inode. */
static __noinline int self_add(struct file_found *found, const struct file_id *id)
{
	struct file_object *object;

	if (!found || !id)
		return 0;
	object = object_of(id, found->gen);
	if (!object)
		return 0;
	set_add(&found->rules, &object->self);
	set_add(&found->rules, &object->under);
	found->flags |= object->flags;
	return 0;
}

/* Are there rules about all that is below the directory? They hold those of the directories above it, so
 * that the first that has any ends a walk. */
static __noinline bool has_under(const struct file_id *id, u32 gen)
{
	struct file_object *object;

	if (!id)
		return false;
	object = object_of(id, gen);
	return object && !set_empty(&object->under);
}

/* The first such directory from `dentry` up, in its own file system; NULL: none, or *deep is set.
 * *fleeting: what was found may not be remembered. */
static __noinline struct inode *under_find(const struct file_filter *filter, struct dentry *dentry,
					   u32 gen, u32 *deep, u32 *fleeting)
{
	struct dentry *parent;
	struct file_id id;
	struct inode *dir;

	if (!filter || !dentry || !deep || !fleeting)
		return NULL;
	for (int i = 0; i < FILE_LEVELS; i++) {
		if (DIRECT)
			*fleeting |= dentry_fleeting(dentry);
		dir = dentry->d_inode;
		if (filter_seen(filter, dir->i_ino)) {
			id = ID_OF(dir);
			if (has_under(&id, gen))
				return dir;
		}
		parent = dentry->d_parent;
		if (parent == dentry)
			return NULL;
		dentry = parent;
	}
	*deep = 1;
	return NULL;
}

/* A walk through mounts. */
struct mount_walk {
	struct mount *mount;
	struct dentry *dentry;
};

/* To where the mount is mounted: 0, or -ENOENT at the top. */
static __noinline int mount_leave(struct mount_walk *walk)
{
	struct mount_link up = {};

	if (!walk)
		return -ENOENT;
	mount_link(walk->mount, &up);
	if (up.parent == walk->mount)
		return -ENOENT;
	walk->mount = up.parent;
	walk->dentry = up.mountpoint;
	return 0;
}

/* One directory up, through mounts. */
static __noinline int mount_climb(struct mount_walk *walk)
{
	struct dentry_link link = {};

	if (!walk)
		return -ENOENT;
	dentry_link(walk->dentry, &link);
	if (link.parent == walk->dentry)
		return mount_leave(walk);
	walk->dentry = link.parent;
	return 0;
}

/* The inode of the walk's directory if it has rules for all below it. */
static __noinline struct inode *mount_under(const struct mount_walk *walk,
					    const struct file_filter *filter, u32 gen)
{
	struct file_id id = {};
	struct dentry *dentry;
	struct inode *dir;

	if (!walk || !filter)
		return NULL;
	dentry = walk->dentry;
	dir = BPF_CORE_READ(dentry, d_inode);
	id_read(&id, dir);
	return filter_seen(filter, id.inode) && has_under(&id, gen) ? dir : NULL;
}

/* The first above the mount `reached`; NULL: none, or *deep is set. */
static __noinline struct inode *under_find_mounted(const struct file_filter *filter,
						   struct vfsmount *reached, u32 gen, u32 *deep)
{
	struct mount_walk walk = {};
	struct inode *dir;

	if (!filter || !reached || !deep)
		return NULL;
	walk.mount = mount_of(reached);
	if (mount_leave(&walk))
		return NULL;
	for (int i = 0; i < MOUNT_LEVELS; i++) {
		dir = mount_under(&walk, filter, gen);
		if (dir)
			return dir;
		if (mount_climb(&walk))
			return NULL;
	}
	*deep = 1;
	return NULL;
}

static __noinline int under_add(struct file_found *found, struct inode *dir)
{
	struct file_object *object;
	struct file_id id = {};

	if (!found || !dir)
		return 0;
	id_read(&id, dir);
	object = object_of(&id, found->gen);
	if (object)
		set_add(&found->rules, &object->under);
	return 0;
}

static __noinline int all_under_add(struct file_found *found)
{
	struct file_rules *rules;
	u32 gen;

	if (!found)
		return 0;
	gen = found->gen;
	rules = bpf_map_lookup_elem(&file_rules, &gen);
	if (rules)
		set_add(&found->rules, &rules->under);
	return 0;
}

/* Rules about directories: those that `dentry` and what is above it lie below. May it be remembered if
 * there are none? */
static __always_inline bool directories_add(struct file_found *found,
					    const struct file_filter *filter, struct dentry *dentry,
					    struct vfsmount *mnt)
{
	u32 deep = 0, fleeting = !DIRECT || sb_fleeting(dentry->d_sb);
	struct inode *dir = under_find(filter, dentry, found->gen, &deep, &fleeting);

	if (!dir && !deep && mnt)
		dir = under_find_mounted(filter, mnt, found->gen, &deep);
	if (dir)
		under_add(found, dir);
	else if (deep)
		all_under_add(found);
	return !dir && !deep && !fleeting;
}

/*
 * All rules about the file `inode` (NULL: it is to be made) in the place `dentry`, both as the hook was
 * given them. `mnt`: the mount, where the hook tells it. The file system's own copy below an overlay
 * comes with the overlay's name (before 6.8): then the place is not its own. May it be remembered if
 * there is none?
 */
static __always_inline bool rules_find(struct file_found *found, const struct file_filter *filter,
				       struct inode *inode, struct dentry *dentry,
				       struct vfsmount *mnt)
{
	struct dentry *parent = dentry->d_parent, *above;
	struct file_id own = {}, id;
	struct dentry_link link;
	struct inode *dir;

	found->rules = filter->none;
	if (inode) {
		own = ID_OF(inode);
		if (filter_seen(filter, own.inode))
			self_add(found, &own);
		if (dentry->d_inode != inode)
			return false;
	}
	dir = parent->d_inode;
	if (parent != dentry && filter_seen(filter, dir->i_ino)) {
		id = ID_OF(dir);
		dentry_link(dentry, &link);
		place_add(found, &id, &link, &own, true);
	}
	if (!filter->under)
		return false;
	above = parent->d_parent;
	dir = above->d_inode;
	if (above != parent && filter_seen(filter, dir->i_ino)) {
		own = ID_OF(parent->d_inode);
		id = ID_OF(dir);
		dentry_link(parent, &link);
		place_add(found, &id, &link, &own, false);
	}
	return directories_add(found, filter, parent, mnt);
}
