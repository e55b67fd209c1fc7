/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Files that rules name, by inode and by place, and among them the program that a process runs. */
#pragma once

#include "abi/policy_subject.h"

#include "file_id.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct file_key);
	__type(value, struct file_object);
} file_objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct file_place);
	__type(value, struct file_object);
} file_names SEC(".maps");

static __always_inline struct file_object *object_of(const struct file_id *id, u32 gen)
{
	struct file_key key = { .id = *id, .gen = gen };

	return bpf_map_lookup_elem(&file_objects, &key);
}

/* The first eight bytes of a name of that length. It lies in at least eight. */
static __always_inline u64 name_first(const unsigned char *name, u64 len)
{
	u64 first = 0;

	if (DIRECT)
		first = kernel_word(name);
	else
		bpf_probe_read_kernel(&first, sizeof(first), name);
	return len < sizeof(first) ? first & ((1ull << len * 8) - 1) : first;
}

/* The rules of the name `link` in the directory `dir`, if it has a place there. */
static __noinline struct file_object *object_at(const struct file_object *dir,
						const struct file_id *id, u32 gen,
						const struct dentry_link *link)
{
	struct file_place place;
	u64 len;

	if (!dir || !id || !link)
		return NULL;
	len = link->hash_len >> 32;
	if (!(dir->name_bits & FILE_NAME_BIT(name_first(link->name, len), len)))
		return NULL;
	__builtin_memset(&place, 0, sizeof(place));
	place.dir = *id;
	place.gen = gen;
	place.len = len;
	if (len > FILE_NAME_KEY)
		len = FILE_NAME_KEY;
	barrier_var(len);
	if (len > FILE_NAME_KEY || bpf_probe_read_kernel(place.name, len, link->name))
		return NULL;
	return bpf_map_lookup_elem(&file_names, &place);
}

/* A function of its own for its key's room: the stacks of those who call each other here come near 512 bytes. */
static __noinline struct file_object *object_known(const struct file_id *id, u32 gen)
{
	return id ? object_of(id, gen) : NULL;
}

/* What the program `file` is by its inode, if that has one of the flags, or by its place. */
static __noinline struct file_object *program_object(struct file *file, u32 gen, u32 flags)
{
	struct dentry *dentry = path_dentry(&file->f_path);
	struct file_object *object, *dir;
	struct dentry_link link = {};
	struct file_id id = {};

	id_read(&id, file_inode(file));
	object = object_known(&id, gen);
	if (object && object->flags & flags)
		return object;
	dentry_link(dentry, &link);
	dentry = link.parent;
	id_read(&id, dentry_inode(dentry));
	dir = object_known(&id, gen);
	return dir ? object_at(dir, &id, gen, &link) : NULL;
}
