/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * process.list: what processes there are and what they hold. Two iterators add up what the threads and
 * the open files of each process come to, the third tells a row for each process.
 */
#include "sonda.bpf.h"

#include "kernel/page.h"
#include "kernel/signal.h"
#include "sonda/iter.h"

PROBE(list, "process", "Processes that there are, with what they hold");
FILTERS("task");

#define PROCESSES_MAX 65536
#define CPUS_MAX      512

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct percpu_counter {
	s64 count;
	s32 *counters;
};
struct mm_struct___list {
	unsigned long total_vm; /* pages */
	struct percpu_counter rss_stat[4];
};
/* rss_stat was exact, one number each, before 6.2 (commit f1a7941243c1) */
struct mm_rss_stat {
	struct {
		s64 counter;
	} count[4];
};
struct mm_struct___pre62 {
	struct mm_rss_stat rss_stat;
};
struct task_struct___list {
	unsigned int __state;
	int exit_state;
	int static_prio;
};
/* __state was state, a long, before 5.14 (commit 2f064a59a11f) */
struct task_struct___pre514 {
	long state;
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

extern const void __per_cpu_offset __ksym __weak;
extern const void nr_cpu_ids __ksym __weak;

/* What the CPUs have not yet added to the sum, where it can be found. Global, so that the verifier
 * checks the loop once. */
__noinline int percpu_rest(u64 counters)
{
	const u64 *offsets = &__per_cpu_offset;
	const u32 *count_at = &nr_cpu_ids;
	u32 count = 0;
	int rest = 0;

	if (!offsets || !count_at || bpf_probe_read_kernel(&count, sizeof(count), count_at))
		return 0;
	for (u32 cpu = 0; cpu < CPUS_MAX; cpu++) {
		u64 offset = 0;
		s32 n = 0;

		if (cpu >= count)
			break;
		bpf_probe_read_kernel(&offset, sizeof(offset), &offsets[cpu]);
		bpf_probe_read_kernel(&n, sizeof(n), (void *)(counters + offset));
		rest += n;
	}
	return rest;
}

/* Pages of a kind: 0 files, 1 anonymous, 2 swapped out, 3 shared. */
static __noinline long mm_pages(struct mm_struct *mm, u32 kind)
{
	const void *first;
	s64 n = 0;

	kind &= 3;
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		first = &((const struct mm_struct___pre62 *)mm)->rss_stat.count;
		bpf_probe_read_kernel(&n, sizeof(n), first + kind * sizeof(n));
	} else {
		const struct percpu_counter *counter;

		first = &((const struct mm_struct___list *)mm)->rss_stat;
		counter = first + kind * bpf_core_type_size(struct percpu_counter);
		n = BPF_CORE_READ(counter, count) +
		    percpu_rest((u64)BPF_CORE_READ(counter, counters));
	}
	return n < 0 ? 0 : n;
}

static __noinline int memory_fill(struct list *row, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	u64 page = page_size();

	if (!row || !mm)
		return 0;
	row->file_bytes = mm_pages(mm, 0) * page;
	row->anon_bytes = mm_pages(mm, 1) * page;
	row->swap_bytes = mm_pages(mm, 2) * page;
	row->shmem_bytes = mm_pages(mm, 3) * page;
	row->rss_bytes = row->file_bytes + row->anon_bytes + row->shmem_bytes;
	row->virtual_bytes = BPF_CORE_READ((struct mm_struct___list *)mm, total_vm) * page;
	return 0;
}

#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_REPORT          0x007f
#define TASK_NOLOAD          0x0400
#define TASK_WAITS           0x9000 /* for a sleeping lock under PREEMPT_RT; frozen */

static __always_inline enum process_state state_of(struct task_struct *task)
{
	struct task_struct___list *t = (void *)task;
	enum process_state state = PROCESS_RUNNING;
	u32 bits;

	if (bpf_core_field_exists(t->__state))
		bits = BPF_CORE_READ(t, __state);
	else
		bits = BPF_CORE_READ((struct task_struct___pre514 *)task, state);
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
