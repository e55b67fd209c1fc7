/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What processes use: CPU, memory, disks, calls. All of it the kernel keeps account of anyway, so it
 * is not counted again but taken over, once a second and when a thread ends: it costs the same however
 * much they do, and can always be on.
 *
 * What only grows is added up thread by thread. A row may stand for many processes, so of what is a
 * level (memory, threads) each process is remembered with what it gave to which row.
 */
#include "sonda.bpf.h"

#include "kernel/account.h"
#include "kernel/mm.h"
#include "kernel/sched.h"
#include "sonda/iter.h"

PROBE(usage, "process",
      "What processes use: CPU, memory, disks, calls, by the kernel's own accounts");
FILTERS("task");

struct usage_labels {
	u32 pid KIND("pid") HIDE DOC("process; 0: those that began and ended between two looks");
	u32 uid KIND("uid") HIDE DOC("user it runs as");
	char comm[16] KIND("comm") DOC("command name of the process");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct usage_values {
	u64 cpu_ns COUNTER UNIT("ns") DOC("CPU time used");
	u64 waited_ns COUNTER HIDE UNIT("ns") DOC("time they could have run but had no CPU");
	u64 sleeps COUNTER HIDE DOC("times that they gave up a CPU because they had to wait");
	u64 preempted COUNTER HIDE DOC("times that they had to give up a CPU to others");
	u64 rss_bytes GAUGE UNIT("bytes") DOC("memory they have: own, of files, shared");
	u64 swap_bytes GAUGE HIDE UNIT("bytes") DOC("swapped out");
	u64 major_faults COUNTER HIDE DOC("page faults that had to wait for a disk");
	u64 minor_faults COUNTER HIDE DOC("page faults that had not");
	u64 disk_bytes COUNTER UNIT("bytes") DOC("the sum of the next two");
	u64 read_bytes COUNTER HIDE UNIT("bytes") DOC("made to be read from disks");
	u64 written_bytes COUNTER HIDE UNIT("bytes")
		DOC("of pages made dirty, and written directly");
	u64 read_calls COUNTER HIDE DOC("calls like read(2), of anything");
	u64 write_calls COUNTER HIDE DOC("calls like write(2), of anything");
	u64 call_read_bytes COUNTER HIDE UNIT("bytes")
		DOC("what these calls read: cached too, pipes too");
	u64 call_written_bytes COUNTER HIDE UNIT("bytes") DOC("what these calls wrote");
	u64 begun COUNTER DOC("processes that began");
	u64 processes GAUGE DOC("processes that there are");
	u64 threads GAUGE HIDE DOC("threads that they have");
};
METRICS(usage, struct usage_labels, struct usage_values, 8192, "What processes use");

/* --- what only grows --- */

struct used {
	u64 cpu_ns;
	u64 waited_ns;
	u64 sleeps;
	u64 preempted;
	u64 major_faults;
	u64 minor_faults;
	u64 read_bytes;
	u64 written_bytes;
	u64 read_calls;
	u64 write_calls;
	u64 call_read_bytes;
	u64 call_written_bytes;
};
#define THREAD_USED struct used

static __always_inline void used_by(struct task_struct *task, struct used *used)
{
	struct task_struct___account *account = (void *)task;
	struct task_struct___sched *sched = (void *)task;

	used->cpu_ns = sched->se.sum_exec_runtime;
	used->waited_ns = sched->sched_info.run_delay;
	used->sleeps = sched->nvcsw;
	used->preempted = sched->nivcsw;
	used->major_faults = account->maj_flt;
	used->minor_faults = account->min_flt;
	if (has_io_accounts()) {
		used->read_bytes = account->ioac.read_bytes;
		used->written_bytes = account->ioac.write_bytes;
	}
	if (has_call_accounts()) {
		used->read_calls = account->ioac.syscr;
		used->write_calls = account->ioac.syscw;
		used->call_read_bytes = account->ioac.rchar;
		used->call_written_bytes = account->ioac.wchar;
	}
}

/* Whoever did anything has run; its time is brought up to date at the next tick or switch. */
static __always_inline bool has_used(const struct used *now, const struct used *before)
{
	return now->cpu_ns != before->cpu_ns || now->waited_ns != before->waited_ns;
}

#include "sonda/threads.h"

static __always_inline void labels_fill(struct usage_labels *key, struct task_struct *task,
					bool lived)
{
	if (label(usage, 0) && lived)
		key->pid = BPF_CORE_READ(task, tgid);
	if (label(usage, 1))
		key->uid = task_uid(task);
	if (label(usage, 2))
		BPF_CORE_READ_STR_INTO(&key->comm, task, group_leader, comm);
	if (label(usage, 3))
		key->cgroup = task_cgroup_id(task);
}

static __noinline int count_used(struct task_struct *task, const struct seen *now,
				 const struct used *before, bool first)
{
	struct usage_labels key = {};
	struct usage_values *row;

	if (!now || !before)
		return 0;
	labels_fill(&key, task, now->lived);
	row = row_of(usage, &key);
	if (!row)
		return 0;
#define COUNT(value) add(row->value, now->used.value - before->value)
	COUNT(cpu_ns);
	COUNT(waited_ns);
	COUNT(sleeps);
	COUNT(preempted);
	COUNT(major_faults);
	COUNT(minor_faults);
	COUNT(read_bytes);
	COUNT(written_bytes);
	COUNT(read_calls);
	COUNT(write_calls);
	COUNT(call_read_bytes);
	COUNT(call_written_bytes);
#undef COUNT
	add(row->disk_bytes, now->used.read_bytes - before->read_bytes + now->used.written_bytes -
				     before->written_bytes);
	if (first && BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
		add(row->begun, 1);
	return 0;
}

/* --- levels --- */

struct levels {
	u64 rss_bytes;
	u64 swap_bytes;
	u64 processes;
	u64 threads;
};
/* A process that was there at a look, and what it gave to the row of its labels. */
struct holder {
	struct usage_labels labels;
	struct levels gave;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64); /* struct task_struct of its first thread */
	__type(value, struct holder);
} holders SEC(".maps");

static const struct holder new_holder;

/* The row of the labels has `now` where it had what the process gave. */
static __noinline int levels_change(struct holder *h, const struct levels *now)
{
	struct usage_values *row;

	if (!h || !now)
		return 0;
	row = row_of(usage, &h->labels);
	if (!row)
		return 0;
#define CHANGE(value) add(row->value, now->value - h->gave.value)
	CHANGE(rss_bytes);
	CHANGE(swap_bytes);
	CHANGE(processes);
	CHANGE(threads);
#undef CHANGE
	h->gave = *now;
	return 0;
}

static __always_inline bool labels_same(const struct usage_labels *a, const struct usage_labels *b)
{
	const u64 *x = (void *)a, *y = (void *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline bool levels_same(const struct levels *a, const struct levels *b)
{
	return a->rss_bytes == b->rss_bytes && a->swap_bytes == b->swap_bytes &&
	       a->processes == b->processes && a->threads == b->threads;
}

static __always_inline void levels_of(struct task_struct *task, struct levels *now)
{
	struct mm_struct *mm = task->mm;

	now->processes = 1;
	now->threads = ((struct task_struct___account *)task)->signal->nr_threads;
	if (!mm)
		return;
	now->rss_bytes = mm_counter_bytes(mm, MM_COUNTER_ANON, false) +
			 mm_counter_bytes(mm, MM_COUNTER_FILE, false) +
			 mm_counter_bytes(mm, MM_COUNTER_SHMEM, false);
	now->swap_bytes = mm_counter_bytes(mm, MM_COUNTER_SWAP, false);
}

static __noinline int hold(struct task_struct *task, u64 key, struct levels *now)
{
	struct holder *h = bpf_map_lookup_elem(&holders, &key);
	struct usage_labels labels = {};
	struct levels nothing = {};

	if (!now)
		return 0;
	if (!h) {
		bpf_map_update_elem(&holders, &key, &new_holder, BPF_NOEXIST);
		h = bpf_map_lookup_elem(&holders, &key);
	}
	if (!h)
		return count_lost(LOSS_STATE);
	labels_fill(&labels, task, true);
	if (!labels_same(&labels, &h->labels)) { /* a new name, another cgroup */
		if (h->gave.processes)
			levels_change(h, &nothing);
		h->labels = labels;
	}
	return levels_same(now, &h->gave) ? 0 : levels_change(h, now);
}

static __noinline int hold_no_more(u64 key)
{
	struct holder *h = bpf_map_lookup_elem(&holders, &key);
	struct levels nothing = {};

	if (!h)
		return 0;
	levels_change(h, &nothing);
	return bpf_map_delete_elem(&holders, &key);
}

/* The process has what it has now; nothing any more when it ends or has ended. */
static __always_inline void levels_look(struct task_struct *task, bool lives)
{
	struct levels now = {};

	if (!look_alone(task))
		return;
	if (lives) {
		levels_of(task, &now);
		hold(task, (u64)task, &now);
	} else {
		hold_no_more((u64)task);
	}
	look_over(task);
}

/* --- hooks --- */

#define PF_EXITING 0x00000004

AT_START EVERY(1000) AT_READING SEC("iter/task") int each_thread(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	bool counted;

	look_begins();
	if (!task)
		return 0;
	counted = look_at(task, LOOK_LIVES);
	if (task->pid != task->tgid)
		return 0;
	if (task->flags & PF_EXITING)
		levels_look(task, false);
	else if (counted)
		levels_look(task, true);
	return 0;
}

SEC("tp_btf/sched_process_exit") int BPF_PROG(thread_ends, struct task_struct *task)
{
	look_at(task, LOOK_ENDS);
	if (task->pid == task->tgid)
		levels_look(task, false);
	return 0;
}

SEC("tp_btf/sched_process_free") int BPF_PROG(thread_gone, struct task_struct *task)
{
	look_at(task, LOOK_GONE);
	if (task->pid == task->tgid)
		levels_look(task, false);
	return 0;
}
