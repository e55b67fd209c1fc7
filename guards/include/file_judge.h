/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The verdict on an operation: of the rules about the file, those that are about the operation, and
 * whose conditions the subject fulfils. */
#pragma once

#include "file_told.h"

/*
 * An operation to be judged. It lies in a map because what judges is a global function, which is verified
 * once; on 5.10 those take only numbers. Claimed by counting, as slots of events are: a thread that is
 * preempted keeps its own.
 */
struct file_request {
	struct file_found found;
	struct verdict verdict;
	struct inode *inode;
	struct dentry *dentry;
	struct mount *mount;      /* NULL: the hook doesn't tell */
	struct vfsmount *reached; /* likewise */
	struct file *file;        /* that is opened; NULL: it is about a name */
	u64 world;                /* before anything of it was looked at; only of what is opened */
	u32 operations;
	u32 strength;
	u32 claims;
	u32 at; /* where it lies */
};
#define FILE_REQUESTS 4096
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FILE_REQUESTS);
	__type(key, u32);
	__type(value, struct file_request);
} file_requests SEC(".maps");

#define FILE_REQUEST_TRIES 16

/* Each thread begins to look in a place of its own. NULL: no room. */
static __noinline struct file_request *request_begin(void)
{
	u32 first = bpf_get_current_pid_tgid(), at;
	struct file_request *request;

	for (u32 i = 0; i < FILE_REQUEST_TRIES; i++) {
		at = (first + i) & (FILE_REQUESTS - 1);
		request = bpf_map_lookup_elem(&file_requests, &at);
		if (!request)
			break;
		__sync_fetch_and_add(&request->claims, 1);
		if (*(volatile u32 *)&request->claims == 1) {
			__builtin_memset(&request->found, 0, sizeof(request->found));
			__builtin_memset(&request->verdict, 0, sizeof(request->verdict));
			request->at = at;
			return request;
		}
		__sync_fetch_and_add(&request->claims, -1);
	}
	return NULL;
}

static __always_inline void request_end(struct file_request *request)
{
	__sync_fetch_and_add(&request->claims, -1);
}

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

/* What SUBJECT_KINDS the verdict may hang on and be remembered: the program and the user. */
#define TOLD_ASKS (1 << SUBJECT_EXE | 1 << SUBJECT_USER)

/* Will opens like this one come to the same, and be told alike? */
static __always_inline bool tells_alike(const struct file_request *request,
					const struct file_rules *all,
					const struct policy_rule_row *row)
{
	if (sonda_conf.where[0].op != COND_NONE || sonda_conf.perf_array)
		return false;
	return request->file && request->strength != FILE_STRENGTH_AFTER &&
	       !request->verdict.beside && !row->alert_most && !(all->subjects.asks & ~TOLD_ASKS) &&
	       set_is_lone(&request->found.rules, request->verdict.rule);
}

static __noinline int tell(struct file_request *request, const struct file_rules *all)
{
	const struct policy_rule_row *row;
	struct dentry *dentry;
	struct file_access *e;
	struct file_id id;
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
	if (request->inode) {
		id_read(&id, request->inode);
		e->inode = id.inode;
		e->device = id.device;
	}
	dentry = request->dentry;
	text_path_at(e, path, dentry,
		     request->mount ? request->mount : sb_mount(BPF_CORE_READ(dentry, d_sb)));
	exe = task_program(current_task());
	if (exe)
		text_path(e, program, &exe->f_path);
	if (DIRECT && tells_alike(request, all, row))
		told_keep(direct(struct file, request->file), request->world,
			  TOLD_HOW(request->found.gen, request->strength, request->operations),
			  request->verdict.rule |
				  set_has_rule(&all->subjects.alerting, request->verdict.rule)
					  << 16,
			  e);
	if (event_send_loses(NULL, e))
		rule_untold(row);
	return 0;
}

/* The request at `at`, some rules being about its file. */
__noinline int request_judge(u32 at)
{
	struct file_request *request = bpf_map_lookup_elem(&file_requests, &at);
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
