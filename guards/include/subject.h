/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who asks: which rules' conditions a task fulfils, by the program that it runs, its user, its
 * cgroup; and which rules are about a task that something is done to. Shared by all guards of operations; src/enforce/subjects.c fills the maps.
 */
#pragma once

#include "abi/policy_subject.h"

#include "file_id.h"
#include "verdict.h"

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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct subject_key);
	__type(value, struct rule_set);
} subjects SEC(".maps");

static __always_inline struct file_object *object_of(const struct file_id *id, u32 gen)
{
	struct file_key key = { .id = *id, .gen = gen };

	return bpf_map_lookup_elem(&file_objects, &key);
}

/* FILE_NAME_BIT of it. A name lies in at least eight bytes. */
static __always_inline u64 name_bit(const struct dentry_link *link, u64 len)
{
	u64 first = 0;

	if (DIRECT)
		first = kernel_word(link->name);
	else
		bpf_probe_read_kernel(&first, sizeof(first), link->name);
	if (len < sizeof(first))
		first &= (1ull << len * 8) - 1;
	return FILE_NAME_BIT(first, len);
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
	if (!(dir->name_bits & name_bit(link, len)))
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

/* What the program `file` is by its inode, if that has one of the flags, or by its place. */
static __noinline struct file_object *program_object(struct file *file, u32 gen, u32 flags)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct file_object *object, *dir;
	struct dentry_link link = {};
	struct file_id id = {};

	id_read(&id, BPF_CORE_READ(file, f_inode));
	object = object_of(&id, gen);
	if (object && object->flags & flags)
		return object;
	dentry_link(dentry, &link);
	dentry = link.parent;
	id_read(&id, BPF_CORE_READ(dentry, d_inode));
	dir = object_of(&id, gen);
	return dir ? object_at(dir, &id, gen, &link) : NULL;
}

static __noinline struct rule_set *cgroup_rules(struct task_struct *task, u32 kind, u32 gen)
{
	struct subject_key key = { .kind = kind, .gen = gen };
	struct cgroup *cgroup = task_cgroup(task);
	struct rule_set *rules;

	for (int i = 0; i < CGROUP_LEVELS; i++) {
		if (!cgroup)
			break;
		key.value = kernfs_id(BPF_CORE_READ(cgroup, kn));
		rules = bpf_map_lookup_elem(&subjects, &key);
		if (rules)
			return rules;
		cgroup = cgroup_parent(cgroup);
	}
	return NULL;
}

static __always_inline struct rule_set *value_rules(u32 kind, u64 value, u32 gen)
{
	struct subject_key key = { .value = value, .kind = kind, .gen = gen };

	return bpf_map_lookup_elem(&subjects, &key);
}

static __always_inline void set_keep_or(struct rule_set *set, const struct rule_set *rules,
					const struct subject_rules *all, u32 kind)
{
	set_keep(set, rules ? rules : &all->others[kind]);
}

static __always_inline void set_keep_value(struct rule_set *set, u32 gen,
					   const struct subject_rules *all, u32 kind, u64 value)
{
	if (all->asks & 1 << kind)
		set_keep_or(set, value_rules(kind, value, gen), all, kind);
}

/* Keeps the rules whose conditions the task fulfils. `exe`: the program that it counts as; NULL: its own.
 * Kernel threads, process 1 and sonda run by root fulfil none. */
static __noinline int subject_keep(struct rule_set *rules, u32 gen, const struct subject_rules *all,
				   struct task_struct *task, struct file *exe)
{
	struct file_object *program = NULL;
	u32 flags, uid;

	if (!rules || !all)
		return 0;
	flags = BPF_CORE_READ(task, flags);
	if (!exe)
		exe = BPF_CORE_READ(task, mm, exe_file);
	uid = subject_uid(task);
	if (exe)
		program = program_object(exe, gen, FILE_IS_SUBJECT | FILE_IS_SONDA);
	if ((!exe && flags & PF_KTHREAD && !(flags & PF_IO_WORKER)) ||
	    BPF_CORE_READ(task, tgid) == 1 || (!uid && program && program->flags & FILE_IS_SONDA)) {
		__builtin_memset(rules, 0, sizeof(*rules));
		return 0;
	}
	set_keep_or(rules, program && program->flags & FILE_IS_SUBJECT ? &program->subject : NULL,
		    all, SUBJECT_EXE);
	set_keep_value(rules, gen, all, SUBJECT_USER, uid);
	if (all->asks & 1 << SUBJECT_CGROUP)
		set_keep_or(rules, cgroup_rules(task, SUBJECT_CGROUP, gen), all, SUBJECT_CGROUP);
	return 0;
}
