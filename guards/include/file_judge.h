/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The verdict on an operation: of the rules about the file, those that are about the operation, and
 * whose conditions the subject fulfils. Decided first, told afterwards.
 */
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
};

enum file_strength {
	FILE_STRENGTH_LSM = 1,
	FILE_STRENGTH_FMOD_RET = 2,
};

EVENT(file_access, "An operation on a file that a rule is about")
{
	struct task task;
	char rule[POLICY_NAME] KIND("str") DOC("the rule");
	enum file_verdict verdict DOC("denied; audited (it would have been); tripped (likewise: the rule refused too much); alerted");
	enum file_operation operation FLAGS DOC("what was to be done with the file");
	enum file_strength strength HIDE DOC("how the kernel is made to obey: a security module's hook, or its result changed");
	u32 device KIND("device") HIDE DOC("the file's device");
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
	struct rule_set refusing, other; /* empty when it begins */
	struct inode *inode;
	struct dentry *dentry;
	struct mount *mount; /* NULL: the hook doesn't tell */
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

/* Rules counted for one operation; of more, those that refuse decide unheard. */
#define RULES_AT_ONCE 4

/* log2 of a power of two, without a branch: each would double the ways to be verified. */
const volatile u8 bit_numbers[64] = {
	0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
	22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
	23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

/* Takes a rule out of the set; POLICY_RULES: it is empty. */
static __always_inline u32 set_take(struct rule_set *set)
{
	u64 word, lowest;

	for (u32 i = 0; i < RULE_WORDS; i++) {
		word = set->words[i];
		if (!word)
			continue;
		lowest = word & -word;
		set->words[i] = word ^ lowest;
		return i * 64 + bit_numbers[lowest * 0x022fdd63cc95386dull >> 58];
	}
	return POLICY_RULES;
}

/* ---- the subject ---- */

/* What the program `file` is by its inode, or by its place. */
static __noinline struct file_object *program_object(struct file *file, u32 gen)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct file_object *object, *dir;
	struct dentry_link link = {};
	struct file_id id = {};

	id_read(&id, BPF_CORE_READ(file, f_inode));
	object = object_of(&id, gen);
	if (object && object->flags & (FILE_IS_SUBJECT | FILE_IS_SONDA))
		return object;
	dentry_link(dentry, &link);
	dentry = link.parent;
	id_read(&id, BPF_CORE_READ(dentry, d_inode));
	dir = object_of(&id, gen);
	return dir ? object_at(dir, &id, gen, &link) : NULL;
}

static __noinline struct rule_set *cgroup_rules(struct task_struct *task, u32 gen)
{
	struct subject_key key = { .kind = SUBJECT_CGROUP, .gen = gen };
	struct cgroup *cgroup = task_cgroup(task);
	struct rule_set *rules;

	for (int i = 0; i < CGROUP_LEVELS; i++) {
		if (!cgroup)
			break;
		key.value = kernfs_id(BPF_CORE_READ(cgroup, kn));
		rules = bpf_map_lookup_elem(&file_subjects, &key);
		if (rules)
			return rules;
		cgroup = cgroup_parent(cgroup);
	}
	return NULL;
}

static __always_inline struct rule_set *user_rules(u32 uid, u32 gen)
{
	struct subject_key key = { .value = uid, .kind = SUBJECT_USER, .gen = gen };

	return bpf_map_lookup_elem(&file_subjects, &key);
}

/* The real user id. A worker has that of who asked in what it works with, not in its own. */
static __always_inline u32 subject_uid(struct task_struct *task)
{
	if (BPF_CORE_READ(task, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return BPF_CORE_READ(task, cred, uid.val);
	return task_uid(task);
}

static __always_inline void set_keep_or(struct rule_set *set, const struct rule_set *rules,
					const struct file_rules *all, u32 kind)
{
	set_keep(set, rules ? rules : &all->others[kind]);
}

/* Keeps the rules whose conditions the current task fulfils. Kernel threads, process 1 and sonda run by
 * root fulfil none. */
static __noinline int subject_keep(struct file_found *found, const struct file_rules *all)
{
	struct task_struct *task = current_task();
	struct file_object *program = NULL;
	struct file *exe;
	u32 flags, uid;

	if (!found || !all)
		return 0;
	flags = BPF_CORE_READ(task, flags);
	exe = BPF_CORE_READ(task, mm, exe_file);
	uid = subject_uid(task);
	if (exe)
		program = program_object(exe, found->gen);
	if ((!exe && flags & PF_KTHREAD && !(flags & PF_IO_WORKER)) ||
	    BPF_CORE_READ(task, tgid) == 1 || (!uid && program && program->flags & FILE_IS_SONDA)) {
		__builtin_memset(&found->rules, 0, sizeof(found->rules));
		return 0;
	}
	set_keep_or(&found->rules,
		    program && program->flags & FILE_IS_SUBJECT ? &program->subject : NULL, all,
		    SUBJECT_EXE);
	if (all->asks & 1 << SUBJECT_USER)
		set_keep_or(&found->rules, user_rules(uid, found->gen), all, SUBJECT_USER);
	if (all->asks & 1 << SUBJECT_CGROUP)
		set_keep_or(&found->rules, cgroup_rules(task, found->gen), all, SUBJECT_CGROUP);
	return 0;
}

/* ---- the operation ---- */

static __noinline int operation_keep(struct file_request *request, const struct file_rules *all)
{
	struct rule_set about;
	u32 operations;

	if (!request || !all)
		return 0;
	about = request->other; /* empty */
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

static __noinline int tell(struct file_request *request, u32 rule, u32 verdict)
{
	const struct policy_rule_row *row;
	struct dentry *dentry;
	struct inode *inode;
	struct file_access *e;
	struct file *exe;

	if (!request)
		return 0;
	row = rule_row(request->found.gen, rule);
	if (!row)
		return 0;
	e = event_new(file_access);
	if (!e) {
		rule_untold(row);
		return 0;
	}
	task_now(&e->task);
	__builtin_memcpy(e->rule, row->name, sizeof(e->rule));
	e->verdict = verdict;
	e->operation = request->operations;
	e->strength = request->strength;
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
	event_send(NULL, e);
	return 0;
}

static __always_inline bool set_has_rule(const struct rule_set *set, u32 rule)
{
	return rule < POLICY_RULES &&
	       set->words[(rule >> 6) & (RULE_WORDS - 1)] & 1ull << (rule & 63);
}

/* What a rule that matches comes to: enum outcome; counts it. Global, to be verified once. */
__noinline u32 rule_comes_to(u32 gen, u32 rule, u32 alerts)
{
	const struct policy_rule_row *row = rule_row(gen, rule);
	u32 outcome;

	if (!row)
		return OUTCOME_NONE;
	outcome = alerts ? OUTCOME_WATCHED : rule_judge(row);
	rule_count(row, outcome == OUTCOME_REFUSED, 0);
	return outcome;
}

/* The next rule that matches, those that refuse first; POLICY_RULES: there is none. */
static __noinline u32 rule_take(struct file_request *request)
{
	u32 rule;

	if (!request)
		return POLICY_RULES;
	rule = set_take(&request->refusing);
	return rule == POLICY_RULES ? set_take(&request->other) : rule;
}

/* All rules that match, those that refuse first: 0, or -EACCES. The first that refuses is told, or else
 * the first. */
static __noinline int rules_apply(struct file_request *request, const struct file_rules *all)
{
	u32 rule, outcome, told = POLICY_RULES, verdict = OUTCOME_NONE;

	if (!request || !all)
		return 0;
	request->refusing = request->found.rules;
	set_keep(&request->refusing, &all->refusing);
	_Pragma("unroll") for (int i = 0; i < RULE_WORDS; i++) request->other.words[i] =
		request->found.rules.words[i] & ~all->refusing.words[i];
	for (int i = 0; i < RULES_AT_ONCE; i++) {
		rule = rule_take(request);
		if (rule >= POLICY_RULES)
			break;
		outcome =
			rule_comes_to(request->found.gen, rule, set_has_rule(&all->alerting, rule));
		if (!verdict || (outcome == OUTCOME_REFUSED && verdict != OUTCOME_REFUSED)) {
			verdict = outcome;
			told = rule;
		}
	}
	if (verdict)
		tell(request, told, verdict);
	return verdict == OUTCOME_REFUSED || !set_empty(&request->refusing) ? -EACCES : 0;
}

/* The request of the thread `tid`, some rules being about its file. */
__noinline int request_judge(u32 tid)
{
	struct file_request *request = bpf_map_lookup_elem(&file_requests, &tid);
	struct file_rules *all;
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
	subject_keep(&request->found, all);
	if (set_empty(&request->found.rules))
		return 0;
	return rules_apply(request, all);
}
