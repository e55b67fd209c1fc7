/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Run when a policy comes to name a program as an ancestor: gives the tasks that there are already what can be
 * told of their lines, by what they and those above them run now; and takes away bits that nobody names any
 * more. Works in the maps of ancestry.bpf.c, which sees to the tasks that are made meanwhile.
 */
#include "sonda.bpf.h"

#include "kernel/iter.h"
#include "program_line.h"

PROBE(descent, "guard", "Lines of processes from before a policy", INTERNAL);

const volatile u64 fresh = 0; /* bits to be looked for */
const volatile u64 gone = 0;  /* bits to be taken away */

#define PARENTS 32 /* on the way up */

ROW(descent_change, "A task whose line was not what it is now")
{
	u32 pid;
	u32 pad;
};

/* What the task and those above it run. */
static __noinline u64 line_above(struct task_struct *task)
{
	struct task_struct *parent;
	u64 line = 0;

	for (int i = 0; i < PARENTS; i++) {
		line |= program_line(BPF_CORE_READ(task, mm, exe_file));
		parent = BPF_CORE_READ(task, real_parent);
		if (!parent || parent == task)
			break;
		task = parent;
	}
	return line;
}

/* The first line that is known of a task: is it one? */
static __noinline bool line_begin(struct task_struct *task)
{
	struct policy_line *above = line_of(BPF_CORE_READ(task, real_parent)), line = {};
	u64 key = (u64)task;

	line.before = line_above(task);
	if (above)
		line.before |= line_programs(above);
	line.before &= ~gone;
	return !bpf_map_update_elem(&policy_lines, &key, &line, BPF_NOEXIST);
}

/* Does the line get more? Nobody else writes `before`; to `programs` the task may add meanwhile, but none of
 * what is gone. */
static __noinline bool line_mend(struct task_struct *task, struct policy_line *line)
{
	u64 old, more;

	if (!line)
		return false;
	old = line->programs & gone;
	if (old)
		__sync_fetch_and_add(&line->programs, -old);
	line->before &= ~gone;
	more = fresh ? line_above(task) & fresh & ~line_programs(line) : 0;
	line->before |= more;
	return more;
}

SEC("iter/task") ROWS(descent_change) int descend(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct descent_change row = {};
	struct policy_line *line;

	if (!task)
		return 0;
	line = line_of(task);
	if (!(line ? line_mend(task, line) : line_begin(task)))
		return 0;
	row.pid = BPF_CORE_READ(task, pid);
	row_write(ctx->meta->seq, &row);
	return 0;
}
