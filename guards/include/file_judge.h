/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The verdict on an operation: of the rules about the file, those that are about the operation, and
 * whose conditions the subject fulfils. */
#pragma once

#include "file_rules.h"
#include "sonda/path.h"

/* As enum policy_operation of the user side. */
enum file_operation {
	FILE_OPERATION_READ = 1 << 0,
	FILE_OPERATION_WRITE = 1 << 1,
	FILE_OPERATION_EXEC = 1 << 2,
	FILE_OPERATION_CREATE = 1 << 3,
	FILE_OPERATION_UNLINK = 1 << 4,
	FILE_OPERATION_RENAME = 1 << 5,
	FILE_OPERATION_LINK = 1 << 6,
	FILE_OPERATION_TRUNCATE = 1 << 7,
	FILE_OPERATION_CHANGE = 1 << 8,
};

enum file_verdict {
	FILE_VERDICT_DENIED = OUTCOME_REFUSED,
	FILE_VERDICT_AUDITED = OUTCOME_AUDITED,
	FILE_VERDICT_TRIPPED = OUTCOME_TRIPPED,
	FILE_VERDICT_ALERTED = OUTCOME_WATCHED,
	FILE_VERDICT_WOULD_DENY = OUTCOME_WOULD_REFUSE,
	FILE_VERDICT_KILLED,
	FILE_VERDICT_DETECTED,
};

enum file_strength {
	FILE_STRENGTH_LSM = 1,
	FILE_STRENGTH_FMOD_RET = 2,
	FILE_STRENGTH_AFTER = 3,
};

EVENT(file_access, "An operation on a file that a rule is about")
{
	struct task task;
	char rule[POLICY_NAME] KIND("str") DOC("the rule");
	enum file_verdict verdict DOC("denied; audited (it would have been); tripped (likewise: the rule refused too much); alerted; would_deny (the rule is of the policy beside the one in force); killed: it was done, and the process killed for it; detected: it was done, though it is denied");
	enum file_operation operation FLAGS DOC("what was to be done with the file");
	enum file_strength strength HIDE DOC("how the kernel is made to obey: a security module's hook, or its result changed; after: it is not, the operation was seen when it had been done");
	u32 device KIND("device") HIDE DOC("the file's device");
	u64 suppressed HIDE DOC("alerts of the rule, and program or user if it counts by them, that were not told since the last that was");
	u64 inode KIND("inode") HIDE DOC("the file's inode number; 0: it was to be made");
	struct text path KIND("path") DOC("the file");
	struct text program KIND("path") DOC("program that the process runs");
};

/*
 * An operation to be judged, by thread. It lies in a map because what judges is a global function, which
 * is verified once; on 5.10 those take only numbers. A thread judges one at a time.
 */
struct file_request {
	struct file_found found;
	struct verdict verdict;
	struct inode *inode;
	struct dentry *dentry;
	struct mount *mount;      /* NULL: the hook doesn't tell */
	struct vfsmount *reached; /* likewise */
	u32 operations;
	u32 strength;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct file_request);
} file_requests SEC(".maps");

const volatile struct file_request no_request = {};

/* ---- the operation ---- */

static __noinline int operation_keep(struct file_request *request, const struct file_rules *all)
{
	struct rule_set about;
	u32 operations;

	if (!request || !all)
		return 0;
	about = request->verdict.other; /* empty */
	operations = request->operations;
	if (request->found.flags & FILE_IS_SONDA)
		operations &= ~(FILE_OPERATION_READ | FILE_OPERATION_EXEC);
	for (int i = 0; i < FILE_OPERATIONS; i++)
		if (operations & 1 << i)
			set_add(&about, &all->by_operation[i]);
	set_keep(&request->found.rules, &about);
	return 0;
}

/* ---- what comes of it ---- */

/* What is told of an outcome: what comes too late to be refused has words of its own. */
static __always_inline u32 verdict_of(const struct file_request *request,
				      const struct file_rules *all)
{
	u32 outcome = request->verdict.outcome;

	if (request->strength != FILE_STRENGTH_AFTER)
		return outcome;
	if (outcome == OUTCOME_REFUSED)
		return FILE_VERDICT_KILLED;
	return outcome == OUTCOME_WATCHED && set_has_rule(&all->detecting, request->verdict.rule)
		       ? FILE_VERDICT_DETECTED
		       : outcome;
}

static __noinline int tell(struct file_request *request, const struct file_rules *all)
{
	const struct policy_rule_row *row;
	struct dentry *dentry;
	struct inode *inode;
	struct file_access *e;
	struct file *exe;

	if (!request || !all)
		return 0;
	row = rule_row(request->found.gen, request->verdict.rule);
	if (!row)
		return 0;
	e = event_new(file_access);
	if (!e) {
		rule_untold(row);
		return 0;
	}
	task_now(&e->task);
	__builtin_memcpy(e->rule, row->name, sizeof(e->rule));
	e->verdict = verdict_of(request, all);
	e->operation = request->operations;
	e->strength = request->strength;
	e->suppressed = request->verdict.suppressed;
	inode = request->inode;
	if (inode) {
		e->inode = BPF_CORE_READ(inode, i_ino);
		e->device = BPF_CORE_READ(inode, i_sb, s_dev);
	}
	dentry = request->dentry;
	text_path_at(e, path, dentry,
		     request->mount ? request->mount : sb_mount(BPF_CORE_READ(dentry, d_sb)));
	exe = BPF_CORE_READ(current_task(), mm, exe_file);
	if (exe)
		text_path(e, program, &exe->f_path);
	if (event_send_loses(NULL, e))
		rule_untold(row);
	return 0;
}

/* The request of the thread `tid`, some rules being about its file. */
__noinline int request_judge(u32 tid)
{
	struct file_request *request = bpf_map_lookup_elem(&file_requests, &tid);
	struct file_rules *all;
	bool refused;
	u32 gen;

	if (!request)
		return 0;
	gen = request->found.gen;
	all = bpf_map_lookup_elem(&file_rules, &gen);
	if (!all)
		return 0;
	operation_keep(request, all);
	if (set_empty(&request->found.rules))
		return 0;
	subject_keep(&request->found.rules, gen, &all->subjects, current_task(), NULL);
	if (set_empty(&request->found.rules))
		return 0;
	refused = rules_apply(&request->verdict, &request->found.rules, gen, &all->subjects);
	if (request->verdict.outcome)
		tell(request, all);
	return refused ? -EACCES : 0;
}
