/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What processes have in memory, looked at every two seconds, and how that changes. No hook fires
 * when memory is used: the cost is the walk over the processes.
 *
 * A row of the table may stand for many processes (--by cgroup). So each process is remembered with
 * what it gave to which row; a look adds the difference, and its end takes all away.
 */
#include "sonda.bpf.h"

#include "kernel/mm.h"
#include "kernel/signal.h"
#include "sonda/iter.h"

PROBE(usage, "memory", "Memory that processes have, and how it grows");
FILTERS("task");

PARAM(u64, change, 0,
      DOC("tell only of processes that grew or shrank by so much since they were last told")
	      UNIT("bytes"));
PARAM(bool, exact, false,
      DOC("add up what each CPU has not yet handed in (since 6.2; some hundred KiB each): dearer"));

EVENT(usage, "A process has more or less memory than when it was last told") {
	struct task task;
	u64 rss_bytes KIND("bytes") DOC("memory it has: the sum of the next three");
	u64 anon_bytes KIND("bytes") DOC("of it its own: heap, stacks");
	u64 file_bytes KIND("bytes") DOC("of it pages of files, mapped");
	u64 shmem_bytes KIND("bytes") DOC("of it shared memory and tmpfs, mapped");
	u64 swap_bytes KIND("bytes") DOC("swapped out");
	s64 change_bytes KIND("bytes") DOC("by how much memory and swap together grew");
	u64 over_ns KIND("duration") DOC("in how long; 0: it is told the first time");
	s64 growth_bytes KIND("bytes") DOC("by how much since sonda first saw it");
};

struct usage_labels {
	u32 pid KIND("pid") DOC("process");
	u32 uid KIND("uid") DOC("user it runs as");
	char comm[16] KIND("comm") DOC("command name");
	u64 cgroup KIND("cgroup") DOC("cgroup v2 of the process");
};
struct usage_values {
	u64 rss_bytes GAUGE UNIT("bytes") DOC("memory: the sum of the next three");
	u64 anon_bytes GAUGE UNIT("bytes") DOC("of it their own: heap, stacks");
	u64 file_bytes GAUGE UNIT("bytes") DOC("of it pages of files, mapped");
	u64 shmem_bytes GAUGE UNIT("bytes") DOC("of it shared memory and tmpfs, mapped");
	u64 swap_bytes GAUGE UNIT("bytes") DOC("swapped out");
	u64 growth_bytes GAUGE UNIT("bytes")
		DOC("more, with swap, than when sonda first saw them; what shrank is 0");
	u64 grown_bytes COUNTER UNIT("bytes") DOC("growth of those that grew, look by look");
	u64 processes GAUGE DOC("how many they are");
};
METRICS(usage, struct usage_labels, struct usage_values, 8192, "Memory of processes");

/* A process, and what it gave to the row of its labels. */
struct known {
	struct usage_labels labels;
	u64 start_ns;
	u64 first_bytes;
	u64 told_bytes;
	u64 told_ns;
	struct usage_values gave;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct known);
} known SEC(".maps");

static __always_inline u64 footprint(const struct usage_values *v)
{
	return v->rss_bytes + v->swap_bytes;
}

/* The row of the labels has `now` where it had what the process gave. */
static __noinline int row_change(struct known *k, struct usage_values *now)
{
	struct usage_values *row;

	if (!k || !now)
		return 0;
	row = row_of(usage, &k->labels);
	if (!row)
		return 0;
#define CHANGE(value) add(row->value, now->value - k->gave.value)
	CHANGE(rss_bytes);
	CHANGE(anon_bytes);
	CHANGE(file_bytes);
	CHANGE(shmem_bytes);
	CHANGE(swap_bytes);
	CHANGE(growth_bytes);
	CHANGE(processes);
#undef CHANGE
	add(row->grown_bytes, now->grown_bytes);
	if (!row->processes)
		bpf_map_delete_elem(&usage, &k->labels);
	k->gave = *now;
	return 0;
}

static __noinline int process_gone(u32 pid)
{
	struct known *k = bpf_map_lookup_elem(&known, &pid);
	struct usage_values nothing = {};

	if (!k)
		return 0;
	if (tables_wanted())
		row_change(k, &nothing);
	bpf_map_delete_elem(&known, &pid);
	return 0;
}

static __always_inline void labels_fill(struct usage_labels *key, struct task_struct *task)
{
	if (label(usage, 0))
		key->pid = task->tgid;
	if (label(usage, 1))
		key->uid = task_uid(task);
	if (label(usage, 2))
		BPF_CORE_READ_STR_INTO(&key->comm, task, comm);
	if (label(usage, 3))
		key->cgroup = task_cgroup_id(task);
}

static __always_inline bool labels_same(const struct usage_labels *a, const struct usage_labels *b)
{
	const u64 *x = (void *)a, *y = (void *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

/* In the table: its name, its cgroup may have changed, then it moves to another row. */
static __noinline int count_process(struct task_struct *task, struct known *k,
				    struct usage_values *now)
{
	struct usage_labels key = {};
	struct usage_values nothing = {};

	if (!k || !now)
		return 0;
	labels_fill(&key, task);
	if (k->gave.processes && !labels_same(&key, &k->labels))
		row_change(k, &nothing);
	k->labels = key;
	return row_change(k, now);
}

static __always_inline void told_now(struct known *k, const struct usage_values *now)
{
	k->told_bytes = footprint(now);
	k->told_ns = bpf_ktime_get_ns();
}

/* Told are the first look and what changed since; with --change no first look, and what changed enough. */
static __always_inline bool worth_telling(struct known *k, s64 changed)
{
	if (!k->told_ns)
		return !change;
	return changed && (u64)(changed < 0 ? -changed : changed) >= change;
}

static __noinline int tell_process(void *ctx, struct task_struct *task, struct known *k,
				   struct usage_values *now)
{
	s64 changed;
	struct usage *e;

	if (!k || !now)
		return 0;
	changed = footprint(now) - k->told_bytes;
	if (!worth_telling(k, changed)) {
		if (!k->told_ns)
			told_now(k, now);
		return 0;
	}
	e = event_new(usage);
	if (!e)
		return 0;
	task_fill(&e->task, task);
	e->rss_bytes = now->rss_bytes;
	e->anon_bytes = now->anon_bytes;
	e->file_bytes = now->file_bytes;
	e->shmem_bytes = now->shmem_bytes;
	e->swap_bytes = now->swap_bytes;
	e->change_bytes = k->told_ns ? changed : 0;
	e->growth_bytes = footprint(now) - k->first_bytes;
	e->over_ns = k->told_ns ? bpf_ktime_get_ns() - k->told_ns : 0;
	told_now(k, now);
	event_send(ctx, e);
	return 0;
}

static __always_inline bool values_same(const struct usage_values *a, const struct usage_values *b)
{
	return a->anon_bytes == b->anon_bytes && a->file_bytes == b->file_bytes &&
	       a->shmem_bytes == b->shmem_bytes && a->swap_bytes == b->swap_bytes &&
	       a->processes == b->processes;
}

static __noinline struct known *known_of(u32 pid, u64 start_ns, u64 bytes)
{
	struct known *k = bpf_map_lookup_elem(&known, &pid);

	if (k && k->start_ns == start_ns)
		return k;
	if (k) /* its end was not seen */
		process_gone(pid);
	bpf_map_update_elem(&known, &pid, &(struct known){ .start_ns = start_ns, .first_bytes = bytes },
			    BPF_ANY);
	k = bpf_map_lookup_elem(&known, &pid);
	if (!k)
		count_lost(LOSS_STATE);
	return k;
}

#define PF_EXITING 0x00000004

AT_START EVERY(2000) AT_READING SEC("iter/task") int look(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct usage_values now = { .processes = 1 };
	struct mm_struct *mm;
	struct known *k;

	if (!task || task->pid != task->tgid || task->flags & (PF_KTHREAD | PF_EXITING))
		return 0;
	mm = task->mm;
	if (!mm || task->tgid == sonda_conf.self || (sonda_conf.sets_on && !task_in_filters(task)))
		return 0;
	now.anon_bytes = mm_counter_bytes(mm, MM_COUNTER_ANON, exact);
	now.file_bytes = mm_counter_bytes(mm, MM_COUNTER_FILE, exact);
	now.shmem_bytes = mm_counter_bytes(mm, MM_COUNTER_SHMEM, exact);
	now.swap_bytes = mm_counter_bytes(mm, MM_COUNTER_SWAP, exact);
	now.rss_bytes = now.anon_bytes + now.file_bytes + now.shmem_bytes;
	k = known_of(task->tgid, task->start_boottime, footprint(&now));
	if (!k)
		return 0;
	if (footprint(&now) > k->first_bytes)
		now.growth_bytes = footprint(&now) - k->first_bytes;
	if (k->gave.processes && footprint(&now) > footprint(&k->gave))
		now.grown_bytes = footprint(&now) - footprint(&k->gave);
	if (values_same(&now, &k->gave)) /* most rest */
		return 0;
	if (events_wanted())
		tell_process(ctx, task, k, &now);
	if (tables_wanted())
		count_process(task, k, &now);
	else
		k->gave = now;
	return 0;
}

/* Since 6.17 the tracepoint says whether this is the last thread. */
ALT(gone, 1) NEED("tpargs sched_process_exit 2") SEC("?tp_btf/sched_process_exit")
int BPF_PROG(last_thread_exits, struct task_struct *task, bool last)
{
	return last ? process_gone(task->tgid) : 0;
}

ALT(gone, 2) SEC("?tp_btf/sched_process_exit") int BPF_PROG(thread_exits, struct task_struct *task)
{
	return BPF_CORE_READ(task_signal(task), live.counter) ? 0 : process_gone(task->tgid);
}
