/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Tells sonda itself which program each process runs from when on, so that an event is joined with
 * the program that ran at its time, also when that process has long gone or run another since.
 * A new process runs its parent's.
 */
#define EVENT_MAX 8192
#include "sonda.bpf.h"

#include "kernel/exec.h"
#include "sonda/argv.h"
#include "sonda/path.h"

PROBE(image, "process", "Program of each process, for the fields exe and args", INTERNAL);

#define IMAGE_ARGV_MAX 2048

EVENT(image, "A process runs another program from now on")
{
	struct task task;
	struct text file KIND("path") DOC("file executed: absolute, links resolved");
	struct text argv KIND("argv") DOC("its arguments");
};

EVENT(fork, "A process was made; it runs the program of its parent (ppid)")
{
	struct task task;
};

SEC("tp_btf/sched_process_fork")
int BPF_PROG(image_fork, struct task_struct *parent, struct task_struct *child)
{
	struct fork *e;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	e = event_new(fork);
	if (!e)
		return 0;
	task_fill(&e->task, child);
	event_send(ctx, e);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(image_exec, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	u64 start = BPF_CORE_READ(mm, arg_start), size = BPF_CORE_READ(mm, arg_end) - start;
	struct image *e = event_new(image);
	struct file *file = BPF_CORE_READ(mm, exe_file);

	if (!e)
		return 0;
	task_fill(&e->task, task);
	text_path(e, file, &file->f_path);
	if (size)
		text_user_bytes(e, argv, (void *)start,
				size - 1 < IMAGE_ARGV_MAX ? size - 1 : IMAGE_ARGV_MAX);
	event_send(ctx, e);
	return 0;
}
