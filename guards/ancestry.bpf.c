/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Keeps true which programs each process descends from, for the conditions of other guards about
 * ancestors: a task inherits the line of the task that makes it, and what it runs is added. So it doesn't
 * matter who is still alive, who has been made whose parent, or which number is whose.
 *
 * Newer kernels skip a program of a tracepoint that already runs on that CPU, where a task is preempted in
 * it: so two programs see that a task is made, and two what it runs. A task that both have missed isn't
 * known, nor are those that it makes.
 */
#include "sonda.bpf.h"

#include "program_line.h"

PROBE(ancestry, "guard", "Which programs processes descend from", INTERNAL);

/* Bits that are in use: those of others are not handed on. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} ancestors_known SEC(".maps");

/* Not read here: it lies where the lines lie. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_ANCESTORS);
	__type(key, u32);
	__type(value, struct ancestor_program);
} ancestor_programs SEC(".maps");

static __always_inline void line_forget(struct task_struct *task)
{
	u64 key = (u64)task;

	bpf_map_delete_elem(&policy_lines, &key);
}

/* The current task has made `task`. Where there is no room, that one isn't known. */
static __noinline int line_inherit(struct task_struct *task)
{
	u32 zero = 0;
	u64 key = (u64)task, *known = bpf_map_lookup_elem(&ancestors_known, &zero);
	struct policy_line *line = line_of(current_task()), born = {};

	if (!line || !known) {
		line_forget(task);
		return 0;
	}
	born.programs = line_programs(line) & *known;
	if (bpf_map_update_elem(&policy_lines, &key, &born, BPF_ANY))
		line_forget(task);
	return 0;
}

SEC("tp_btf/task_newtask") int BPF_PROG(task_is_made, struct task_struct *task)
{
	return line_inherit(task);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_is_forked, struct task_struct *parent, struct task_struct *child)
{
	return line_of(child) ? 0 : line_inherit(child);
}

SEC("tp_btf/sched_process_free") int BPF_PROG(task_is_freed, struct task_struct *task)
{
	line_forget(task);
	return 0;
}

/* The current task runs what it runs. */
static __noinline int line_grow(void)
{
	struct task_struct *task = current_task();
	struct policy_line *line = line_of(task);
	u64 more;

	if (!line)
		return 0;
	more = program_line(BPF_CORE_READ(task, mm, exe_file)) & ~line->programs;
	if (more)
		__sync_fetch_and_add(&line->programs, more);
	return 0;
}

SEC("tp_btf/sched_process_exec") int BPF_PROG(program_runs)
{
	return line_grow();
}

/* What it ran until now, from 6.10 on. */
OPTIONAL("a program that another replaces while the kernel skips whoever looks")
SEC("tp_btf/sched_prepare_exec") int BPF_PROG(program_ends)
{
	return line_grow();
}
