/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * process.exit: a process has ended, told once, when its last thread goes. Kernel threads are no
 * processes and are left out.
 */
#include "sonda.bpf.h"

#include "kernel/page.h"
#include "kernel/signal.h"

PROBE(exit, "process", "Processes ended: how, and what they used");
FILTERS("task errors min");

EVENT(exit, "One process ended") {
	struct task task;
	u32 status KIND("exit_status") DOC("what the parent gets from wait(2)");
	u32 signal KIND("signal") HIDE DOC("signal that ended it; 0: it ended by itself");
	bool core_dumped HIDE DOC("a core was dumped");
	u64 lifetime_ns KIND("duration") DOC("time since the process began (--min is about this)");
	u64 user_ns KIND("duration")
		DOC("CPU time of all its threads in user mode, to the last tick");
	u64 system_ns KIND("duration")
		DOC("CPU time of all its threads in the kernel, to the last tick");
	u64 peak_bytes KIND("bytes") DOC("most memory that was resident at a time");
};

struct exit_labels {
	char comm[16] KIND("comm") DOC("command name");
	u32 status KIND("exit_status") DOC("what the parent gets from wait(2)");
};
struct exit_values {
	u64 exits COUNTER DOC("processes ended");
	u64 cpu_ns COUNTER UNIT("ns") DOC("CPU time they used");
	HIST_LOG2(lifetime_ns, 48, UNIT("ns") DOC("how long they lived"));
};
METRICS(exits, struct exit_labels, struct exit_values, 2048, "Processes ended");

struct cpu_times {
	u64 user;
	u64 system;
	u64 run; /* what the scheduler gave, to the nanosecond; the other two are sampled */
};

/* Threads that are on their way out with the last one, at most. */
#define EXITING_MAX 64

static __noinline int times_of_threads(struct signal_struct *signal, struct cpu_times *sum)
{
	void *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	struct list_head *node = BPF_CORE_READ(signal, thread_head.next);
	struct task_struct___signal *thread;

	for (int i = 0; i < EXITING_MAX; i++) {
		if (node == head || !node || !sum)
			return 0;
		thread = (void *)node -
			 bpf_core_field_offset(struct task_struct___signal, thread_node);
		sum->user += BPF_CORE_READ(thread, utime);
		sum->system += BPF_CORE_READ(thread, stime);
		sum->run += BPF_CORE_READ(thread, se.sum_exec_runtime);
		node = BPF_CORE_READ(node, next);
	}
	count_unresolved();
	return 0;
}

/* Shares the time run between user and system as sampled, which is what wait4(2) tells. */
static __noinline int times_adjust(struct cpu_times *t)
{
	u64 total, shift;

	if (!t)
		return 0;
	total = t->user + t->system;
	/* so that a product of two fits; samples are coarse anyway */
	shift = total >> 52 ? 36 : total >> 32 ? 20 : 0;
	if (!t->system) {
		t->user = t->run;
		return 0;
	}
	total >>= shift;
	t->system >>= shift;
	t->system = t->run / total * t->system + t->run % total * t->system / total;
	t->user = t->run - t->system;
	return 0;
}

static __noinline int times_fill(struct task_struct *leader, struct cpu_times *t)
{
	struct signal_struct *signal = task_signal(leader);

	if (!t)
		return 0;
	t->user = BPF_CORE_READ(signal, utime);
	t->system = BPF_CORE_READ(signal, stime);
	t->run = BPF_CORE_READ(signal, sum_sched_runtime);
	times_of_threads(signal, t);
	return times_adjust(t);
}

static __noinline int count_exit(struct task_struct *leader, u32 status, u64 lifetime,
				 struct cpu_times *t)
{
	struct exit_labels key = {};
	struct exit_values *row;

	if (label(exits, 0))
		BPF_CORE_READ_STR_INTO(&key.comm, leader, comm);
	if (label(exits, 1))
		key.status = status;
	row = row_of(exits, &key);
	if (!row || !t)
		return 0;
	add(row->exits, 1);
	add(row->cpu_ns, t->run);
	observe(row->lifetime_ns, lifetime);
	return 0;
}

/* The thread to ask the filters about: the first, unless it went before and has no program left. */
static __always_inline struct task_struct *filter_subject(struct task_struct *leader,
							  struct task_struct *last)
{
	return SET_ON(SET_EXE) && !BPF_CORE_READ(leader, mm) ? last : leader;
}

static __noinline int process_exited(void *ctx, struct task_struct *last)
{
	struct task_struct *leader = BPF_CORE_READ(last, group_leader);
	struct cpu_times times = {};
	u64 lifetime;
	u32 status;
	struct exit *e;

	if (BPF_CORE_READ(last, flags) & PF_KTHREAD || !wanted_task(filter_subject(leader, last)))
		return 0;
	status = process_wait_status(leader);
	lifetime = bpf_ktime_get_boot_ns() - task_start_ns(leader);
	if (!notable(status ? -1 : 0, lifetime))
		return 0;
	times_fill(leader, &times);
	if (tables_wanted())
		count_exit(leader, status, lifetime, &times);
	if (!events_wanted())
		return 0;
	e = event_new(exit);
	if (!e)
		return 0;
	task_fill(&e->task, leader);
	e->status = status;
	e->signal = status & 0x7f;
	e->core_dumped = status & 0x80;
	e->lifetime_ns = lifetime;
	e->user_ns = times.user;
	e->system_ns = times.system;
	e->peak_bytes = BPF_CORE_READ(task_signal(leader), maxrss) * page_size();
	event_send(ctx, e);
	return 0;
}

/* Since 6.17 the tracepoint says whether this is the last thread. */
ALT(exit, 1) NEED("tpargs sched_process_exit 2") SEC("?tp_btf/sched_process_exit")
int BPF_PROG(exit_told, struct task_struct *task, bool last)
{
	return last ? process_exited(ctx, task) : 0;
}

/* Before that a function that is told it. The memory is still there, so --exe works. */
ALT(exit, 2) SEC("?fentry/taskstats_exit")
int BPF_PROG(exit_fentry, struct task_struct *task, int last)
{
	return last ? process_exited(ctx, task) : 0;
}

ALT(exit, 3) SEC("?kprobe/taskstats_exit")
int BPF_KPROBE(exit_kprobe, struct task_struct *task, int last)
{
	return last ? process_exited(ctx, task) : 0;
}

/*
 * Where neither is: when no thread lives any more. Two threads that go at the same moment both find
 * it so; the first takes it. The key never comes back, so nothing needs to be removed.
 */
struct process {
	u64 tgid;
	u64 start_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct process);
	__type(value, u8);
} exits_taken SEC(".maps");

ALT(exit, 4) SEC("?tp_btf/sched_process_exit") int BPF_PROG(exit_guessed, struct task_struct *task)
{
	struct process key = {};
	u8 taken = 1;

	if (BPF_CORE_READ(task_signal(task), live.counter) != 0)
		return 0;
	key.tgid = BPF_CORE_READ(task, tgid);
	key.start_ns = task_start_ns(task);
	if (bpf_map_update_elem(&exits_taken, &key, &taken, BPF_NOEXIST))
		return 0;
	return process_exited(ctx, task);
}
