/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The verdict on an operation on the kernel's surface: of the rules about the operation, those that are about
 * what it is done to, and whose conditions the subject fulfils. A request lies on the stack.
 */
#pragma once

#include "abi/policy_kernel.h"

#include "ladder.h"
#include "sonda/path.h"
#include "subject.h"

/* As enum policy_kernel_operation of the user side. */
enum kernel_operation {
	KERNEL_OPERATION_KILL = 1 << 0,
	KERNEL_OPERATION_PTRACE = 1 << 1,
	KERNEL_OPERATION_INSPECT = 1 << 2,
	KERNEL_OPERATION_MOUNT = 1 << 3,
	KERNEL_OPERATION_UMOUNT = 1 << 4,
	KERNEL_OPERATION_LOAD_MODULE = 1 << 5,
	KERNEL_OPERATION_REQUEST_MODULE = 1 << 6,
	KERNEL_OPERATION_BPF = 1 << 7,
	KERNEL_OPERATION_SETUID = 1 << 8,
	KERNEL_OPERATION_USER_NAMESPACE = 1 << 9,
	KERNEL_OPERATION_USE = 1 << 10,
};

enum kernel_verdict {
	KERNEL_VERDICT_DENIED = OUTCOME_REFUSED,
	KERNEL_VERDICT_AUDITED = OUTCOME_AUDITED,
	KERNEL_VERDICT_TRIPPED = OUTCOME_TRIPPED,
	KERNEL_VERDICT_ALERTED = OUTCOME_WATCHED,
	KERNEL_VERDICT_WOULD_DENY = OUTCOME_WOULD_REFUSE,
};

EVENT(kernel_access, "An operation on the kernel's surface that a rule is about")
{
	struct task task;
	char rule[POLICY_NAME] KIND("str") DOC("the rule");
	enum kernel_verdict verdict DOC("denied; audited (it would have been); tripped (likewise: the rule refused too much); alerted; would_deny (the rule is of the policy beside the one in force)");
	enum kernel_operation operation DOC("what was to be done");
	enum strength strength HIDE DOC("how the kernel is made to obey: a security module's hook, or its result changed");
	u32 target KIND("pid") DOC("the process that it was to be done to; 0: to none");
	u64 suppressed HIDE DOC("alerts of the rule, and program or user if it counts by them, that were not told since the last that was");
	u32 number DOC("the signal of kill, the command of bpf, the user id of setuid, the number of the capability");
	struct text object KIND("path")
		DOC("the program of that process; where was to be mounted; the module's file");
	struct text name KIND("text")
		DOC("the type of the file system; the module that is requested");
	struct text program KIND("path") DOC("program that the process runs");
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct kernel_rules);
} kernel_rules SEC(".maps");

/* On trial: only this process is judged; 0: all are. */
const volatile u32 trial_pid = 0;

struct kernel_request {
	struct verdict verdict; /* the rules that are left are its `other` */
	u8 gen;
	u8 strength;
	u16 operation;
	u32 number;
	struct task_struct *subject; /* NULL: not known, as in an interrupt */
	struct task_struct *target;  /* NULL: none */
	struct dentry *dentry;       /* of the object; NULL: none, or the target's program */
	struct vfsmount *mnt;
	const char *name;
};

/* Begins a request; NULL: there are no rules about the operation. */
static __always_inline const struct kernel_rules *
request_begin(struct kernel_request *r, u32 operation, u32 strength, bool beside)
{
	u32 gen = beside ? policy_beside() : policy_generation(), bit = __builtin_ctz(operation);
	struct kernel_rules *all;

	if (gen == POLICY_NOBODY)
		return NULL;
	if (trial_pid && trial_pid != bpf_get_current_pid_tgid() >> 32)
		return NULL;
	all = bpf_map_lookup_elem(&kernel_rules, &gen);
	if (!all || !(all->operations & operation))
		return NULL;
	__builtin_memset(r, 0, sizeof(*r));
	r->verdict.other = all->by_operation[bit];
	r->verdict.beside = beside;
	r->gen = gen;
	r->operation = operation;
	r->strength = strength;
	r->subject = current_task();
	return all;
}

/* Keeps the rules about a process. `exe`: the program that it counts as; NULL: its own. */
static __noinline int target_keep(struct rule_set *rules, u32 gen, const struct subject_rules *all,
				  struct task_struct *task, struct file *exe)
{
	struct file_object *program = NULL;

	if (!rules || !all)
		return 0;
	if (!exe)
		exe = BPF_CORE_READ(task, mm, exe_file);
	if (exe && all->asks & 1 << TARGET_EXE)
		program = program_object(exe, gen, FILE_IS_TARGET);
	set_keep_or(rules, program && program->flags & FILE_IS_TARGET ? &program->self : NULL, all,
		    TARGET_EXE);
	set_keep_value(rules, gen, all, TARGET_USER, task_uid(task));
	if (all->asks & 1 << TARGET_CGROUP)
		set_keep_or(rules, cgroup_rules(task, TARGET_CGROUP, gen), all, TARGET_CGROUP);
	return 0;
}

/* Who asks isn't known but for the user id: what no rule mentions. */
static __noinline int stranger_keep(struct rule_set *rules, u32 gen,
				    const struct subject_rules *all, u32 uid)
{
	if (!rules || !all)
		return 0;
	set_keep(rules, &all->others[SUBJECT_EXE]);
	set_keep(rules, &all->others[SUBJECT_CGROUP]);
	set_keep(rules, &all->others[SUBJECT_ANCESTOR]);
	set_keep(rules, &all->others[SUBJECT_TERMINAL]);
	set_keep_value(rules, gen, all, SUBJECT_USER, uid);
	return 0;
}

/* Keeps the rules about a value. */
static __noinline int value_keep(struct rule_set *rules, u32 gen, const struct subject_rules *all,
				 u32 kind, u64 value)
{
	struct rule_set *about;

	if (!rules || !all || kind >= SUBJECT_KINDS)
		return 0;
	about = value_rules(kind, value, gen);
	set_keep(rules, about ? about : &all->others[kind]);
	return 0;
}

/* Adds the rules about a value. */
static __noinline int value_add(struct rule_set *rules, u32 gen, const struct subject_rules *all,
				u32 kind, u64 value)
{
	struct rule_set *about;

	if (!rules || !all || kind >= SUBJECT_KINDS)
		return 0;
	about = value_rules(kind, value, gen);
	set_add(rules, about ? about : &all->others[kind]);
	return 0;
}

static __noinline int request_path(struct kernel_request *r, const struct path *path)
{
	if (!r)
		return 0;
	r->dentry = BPF_CORE_READ(path, dentry);
	r->mnt = BPF_CORE_READ(path, mnt);
	return 0;
}

static __noinline int tell(struct kernel_request *r)
{
	const struct policy_rule_row *row;
	struct task_struct *task;
	struct kernel_access *e;
	struct file *exe;

	if (!r)
		return 0;
	row = rule_row(r->gen, r->verdict.rule);
	if (!row)
		return 0;
	e = event_new(kernel_access);
	if (!e) {
		rule_untold(row);
		return 0;
	}
	if (r->subject)
		task_fill(&e->task, r->subject);
	__builtin_memcpy(e->rule, row->name, sizeof(e->rule));
	e->verdict = r->verdict.outcome;
	e->operation = r->operation;
	e->strength = r->strength;
	e->number = r->number;
	e->suppressed = r->verdict.suppressed;
	task = r->target;
	if (task) {
		e->target = BPF_CORE_READ(task, tgid);
		exe = BPF_CORE_READ(task, mm, exe_file);
		if (exe && !r->dentry)
			request_path(r, &exe->f_path);
	}
	if (r->dentry)
		text_path_at(e, object, r->dentry, mount_of(r->mnt));
	if (r->name)
		text_kernel(e, name, r->name);
	task = r->subject;
	exe = task ? BPF_CORE_READ(task, mm, exe_file) : NULL;
	if (exe)
		text_path(e, program, &exe->f_path);
	event_send(NULL, e);
	return 0;
}

/* What comes of the rules that are left: 0 or -EPERM. */
static __noinline int request_end(struct kernel_request *r, const struct kernel_rules *all)
{
	bool refused;

	if (!r || !all || set_empty(&r->verdict.other))
		return 0;
	refused = rules_apply(&r->verdict, &r->verdict.other, r->gen, &all->subjects);
	if (r->verdict.outcome)
		tell(r);
	return refused ? -EPERM : 0;
}

static __always_inline bool has_terminal(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___subject *)task, signal, tty) != NULL;
}

/* The subject is the task of the request, and `exe` what it counts as. */
static __always_inline int request_judge(struct kernel_request *r, const struct kernel_rules *all,
					 struct file *exe)
{
	struct task_struct *subject = r->subject;

	if (set_empty(&r->verdict.other))
		return 0;
	subject_keep(&r->verdict.other, r->gen, &all->subjects, r->subject, exe);
	if (all->subjects.asks & 1 << SUBJECT_TERMINAL)
		value_keep(&r->verdict.other, r->gen, &all->subjects, SUBJECT_TERMINAL,
			   has_terminal(subject));
	return request_end(r, all);
}
