/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A snapshot: one row for each thread. tests/live/show.t says what must come of it. */
#include "sonda.bpf.h"

PROBE(tasks, "test", "Threads that there are");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct task_struct___prio {
	int static_prio;
	struct mm_struct *mm;
};
#pragma clang attribute pop

ROW(task_row, "One thread") {
	u32 pid KIND("pid") KEY DOC("process (thread-group id)");
	u32 tid KIND("tid") KEY DOC("thread");
	u32 uid KIND("uid") HIDE DOC("user the thread runs as");
	u32 kernel : 1 DOC("a kernel thread");
	s32 nice : 6 DOC("what it yields");
	u32 : 0;
	u64 start_ns KIND("boottime") HIDE DOC("when the process began");
	char comm[16] KIND("comm") DOC("command name");
};

SEC("iter/task")
ROWS(task_row)
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_row row = {};

	if (!task)
		return 0;
	row.pid = BPF_CORE_READ(task, tgid);
	row.tid = BPF_CORE_READ(task, pid);
	row.uid = task_uid(task);
	row.kernel = !BPF_CORE_READ(task, mm);
	row.nice = BPF_CORE_READ((struct task_struct___prio *)task, static_prio) - 120;
	row.start_ns = task_start_ns(task);
	BPF_CORE_READ_STR_INTO(&row.comm, task, comm);
	row_write(ctx->meta->seq, &row);
	return 0;
}
