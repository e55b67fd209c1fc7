/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * process.list: what processes there are and what they hold. Two iterators add up what the threads and
 * the open files of each process come to, the third tells a row for each process.
 */
#include "sonda.bpf.h"

#include "kernel/mm.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "sonda/iter.h"

PROBE(list, "process", "Processes that there are, with what they hold");
FILTERS("task");

#define PROCESSES_MAX 65536

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_struct___list {
	int exit_state;
	int static_prio;
};
struct signal_struct___list {
	short oom_score_adj;
};

#pragma clang attribute pop

/* As the kernel numbers them for /proc. */
enum process_state {
	PROCESS_RUNNING,
	PROCESS_SLEEPING,
	PROCESS_DISK_SLEEP,
	PROCESS_STOPPED,
	PROCESS_TRACED,
	PROCESS_DEAD,
	PROCESS_ZOMBIE,
	PROCESS_PARKED,
	PROCESS_IDLE,
};

ROW(list, "A process")
{
	u32 pid KIND("pid") KEY DOC("process (thread-group id)");
	u32 ppid KIND("pid") DOC("its parent");
	u32 uid KIND("uid") DOC("user it runs as (real user id)");
	enum process_state state DOC("what its first thread does");
	u32 threads DOC("threads");
	u32 fds DOC("descriptors open");
	u32 sockets HIDE DOC("of these, sockets");
	s32 nice HIDE DOC("what its first thread yields to others");
	u64 rss_bytes KIND("bytes") DOC("memory resident");
	u64 anon_bytes KIND("bytes") HIDE DOC("of this, its own (heap, stacks)");
	u64 file_bytes KIND("bytes") HIDE DOC("of this, mapped files");
	u64 shmem_bytes KIND("bytes") HIDE DOC("of this, shared memory and tmpfs");
	u64 swap_bytes KIND("bytes") DOC("memory swapped out");
	u64 virtual_bytes KIND("bytes") HIDE DOC("address space in use");
	u64 cpu_ns KIND("duration") DOC("CPU time of all its threads, those that ended too");
	s32 oom_adj HIDE DOC("oom_score_adj: -1000 never killed for memory, 1000 first");
	bool kernel HIDE DOC("a kernel thread");
	u8 pad[3] HIDE;
	u64 cgroup KIND("cgroup") HIDE DOC("its cgroup v2");
	u64 start_ns KIND("boottime") DOC("when it began");
	char comm[16] KIND("comm") DOC("command name");
};

/* What a process's threads and descriptors come to. */
struct sum {
	u32 threads;
	u32 fds;
	u32 sockets;
	u32 pad;
	u64 cpu_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, struct sum);
} sums SEC(".maps");

static __always_inline struct sum *sum_of(u32 pid)
{
	struct sum none = {}, *sum = bpf_map_lookup_elem(&sums, &pid);

	if (sum)
		return sum;
	if (bpf_map_update_elem(&sums, &pid, &none, BPF_NOEXIST))
		count_lost(LOSS_STATE);
	return bpf_map_lookup_elem(&sums, &pid);
}

SEC("iter/task") int threads_add(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct sum *sum;

	if (!task)
		return 0;
	sum = sum_of(BPF_CORE_READ(task, tgid));
	if (!sum)
		return 0;
	sum->threads++;
	sum->cpu_ns += BPF_CORE_READ((struct task_struct___signal *)task, se.sum_exec_runtime);
	return 0;
}

SEC("iter/task_file") int fds_add(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sum *sum;

	if (!task || !file)
		return 0;
	sum = sum_of(BPF_CORE_READ(task, tgid));
	if (!sum)
		return 0;
	sum->fds++;
	if (inode_type(BPF_CORE_READ(file, f_inode)) == FILE_TYPE_SOCKET)
		sum->sockets++;
	return 0;
}

static __always_inline void memory_fill(struct list *row, struct task_struct *task)
{
	struct mm_struct *mm = task->mm;

	if (!mm)
		return;
	row->file_bytes = mm_counter_bytes(mm, MM_COUNTER_FILE, true);
	row->anon_bytes = mm_counter_bytes(mm, MM_COUNTER_ANON, true);
	row->swap_bytes = mm_counter_bytes(mm, MM_COUNTER_SWAP, true);
	row->shmem_bytes = mm_counter_bytes(mm, MM_COUNTER_SHMEM, true);
	row->rss_bytes = row->file_bytes + row->anon_bytes + row->shmem_bytes;
	row->virtual_bytes = mm_virtual_bytes(mm);
}

#define TASK_REPORT 0x007f
#define TASK_WAITS  0x9000 /* for a sleeping lock under PREEMPT_RT; frozen */

static __always_inline enum process_state state_of(struct task_struct *task)
{
	struct task_struct___list *t = (void *)task;
	enum process_state state = PROCESS_RUNNING;
	u32 bits = task_state(task);

	if ((bits & (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)) == (TASK_UNINTERRUPTIBLE | TASK_NOLOAD))
		return PROCESS_IDLE;
	if (bits & TASK_WAITS)
		bits |= TASK_UNINTERRUPTIBLE;
	bits = (bits | BPF_CORE_READ(t, exit_state)) & TASK_REPORT;
	for (int i = 0; i < 7; i++)
		if (bits & 1u << i)
			state = i + 1;
	return state;
}

static __always_inline void sums_fill(struct list *row, struct signal_struct *signal)
{
	struct sum *sum = bpf_map_lookup_elem(&sums, &row->pid);

	row->cpu_ns = BPF_CORE_READ(signal, sum_sched_runtime);
	if (!sum)
		return;
	row->threads = sum->threads;
	row->fds = sum->fds;
	row->sockets = sum->sockets;
	row->cpu_ns += sum->cpu_ns;
}

SEC("iter/task")
ROWS(list)
int processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct signal_struct *signal;
	struct list row = {};

	if (!task || BPF_CORE_READ(task, tgid) != BPF_CORE_READ(task, pid) || !wanted_task(task))
		return 0;
	signal = task_signal(task);
	row.pid = BPF_CORE_READ(task, tgid);
	row.ppid = BPF_CORE_READ(task, real_parent, tgid);
	row.uid = task_uid(task);
	row.state = state_of(task);
	row.nice = BPF_CORE_READ((struct task_struct___list *)task, static_prio) - 120;
	row.oom_adj = BPF_CORE_READ((struct signal_struct___list *)signal, oom_score_adj);
	row.kernel = BPF_CORE_READ(task, flags) & PF_KTHREAD;
	row.cgroup = task_cgroup_id(task);
	row.start_ns = task_start_ns(task);
	BPF_CORE_READ_STR_INTO(&row.comm, task, comm);
	sums_fill(&row, signal);
	memory_fill(&row, task);
	row_write(ctx->meta->seq, &row);
	return 0;
}
