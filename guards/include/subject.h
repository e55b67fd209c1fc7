/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who asks: which rules' conditions a task fulfils, by the program that it runs, its user, its
 * cgroup, what it descends from; and which rules are about a task that something is done to. Shared by all guards of operations; src/enforce/subjects.c fills the maps.
 */
#pragma once

#include "abi/policy_subject.h"

#include "ancestors.h"
#include "program.h"
#include "verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct subject_key);
	__type(value, struct rule_set);
} subjects SEC(".maps");

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
		exe = task_program(task);
	uid = subject_uid(task);
	if (exe)
		program = program_object(exe, gen,
					 FILE_IS_SUBJECT | FILE_IS_SONDA | FILE_IS_ANCESTOR);
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
	if (all->asks & 1 << SUBJECT_ANCESTOR)
		ancestors_keep(rules, gen, all, task, program ? program->line : 0);
	return 0;
}
