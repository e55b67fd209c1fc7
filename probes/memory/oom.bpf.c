/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Processes that the kernel kills because memory ran out: told at once, as long as the victim still
 * has what it is killed for, and again when its last thread is gone.
 *
 * Within a second all processes are looked at once, for the one that the kernel would choose next, in
 * each cgroup that was at its limit, or on the machine.
 *
 * Why is known inside oom_kill_process(). Where no program can be put there it is concluded from the
 * cgroups of the victim: the nearest one that is at its limit, else the machine.
 */
#include "sonda.bpf.h"

#include "kernel/memcg.h"
#include "kernel/mm.h"
#include "kernel/signal.h"
#include "sonda/cgroup_path.h"
#include "sonda/iter.h"

PROBE(oom, "memory", "Processes killed because memory ran out: who, for whom, and why");
FILTERS("task min");

enum oom_why {
	OOM_WHY_UNKNOWN,
	OOM_WHY_MACHINE,
	OOM_WHY_CPUSET,
	OOM_WHY_MEMORY_POLICY,
	OOM_WHY_CGROUP_LIMIT,
	OOM_WHY_SYSRQ,
};

EVENT(oom, "A process was chosen and killed") {
	struct task task; /* the victim */
	enum oom_why why DOC("whose memory ran out: a cgroup at its limit, the nodes of a cpuset or a "
			     "memory policy, the whole machine; or an administrator asked for it by sysrq");
	u32 trigger_pid KIND("pid") DOC("process that needed memory and got none");
	char trigger_comm[16] KIND("comm") DOC("its command name");
	u64 rss_bytes KIND("bytes") DOC("memory the victim had: the sum of the next three");
	u64 anon_bytes KIND("bytes") DOC("of it its own: heap, stacks");
	u64 file_bytes KIND("bytes") HIDE DOC("of it pages of files");
	u64 shmem_bytes KIND("bytes") HIDE DOC("of it shared memory and tmpfs");
	u64 swap_bytes KIND("bytes") DOC("memory of the victim that was swapped out");
	u64 pgtables_bytes KIND("bytes") HIDE DOC("the victim's page tables");
	u64 virtual_bytes KIND("bytes") HIDE DOC("its address space");
	s32 oom_score_adj DOC("how it was set to be preferred (1000) or spared (-1000)");
	u64 usage_bytes KIND("bytes") DOC("memory the cgroup at its limit uses; 0: none is");
	u64 limit_bytes KIND("bytes") DOC("what that cgroup may use");
	struct text cgroup_at_limit KIND("path") DOC("that cgroup");
	s32 order HIDE DOC("the trigger needed 2^order pages in a row; -1: not known, or sysrq");
	u32 gfp KIND("hex") HIDE DOC("how it asked for them; 0: not known");
	u64 points HIDE DOC("the victim's badness in pages, the highest found; 0: not known");
	bool why_is_told HIDE DOC("why is what the kernel said; else concluded from the cgroups' limits");
};

EVENT(oom_died, "A victim's last thread is gone") {
	struct task task; /* the victim */
	u64 took_ns KIND("duration") DOC("since it was killed");
};

EVENT(oom_next, "Who would be killed next there, as of up to a second after a kill")
{
	struct task task; /* who it would be */
	u32 victim_pid KIND("pid")
		DOC("process that was killed; of several of one cgroup within a second the last");
	u64 points DOC("badness in pages, the highest that is left: memory, swap, page tables, and "
		       "oom_score_adj in thousandths of what there is");
	u64 rss_bytes KIND("bytes") DOC("memory it has");
	u64 swap_bytes KIND("bytes") DOC("memory of it that is swapped out");
	s32 oom_score_adj DOC("how it was set to be preferred (1000) or spared (-1000)");
};

struct kill_labels {
	char comm[16] KIND("comm") DOC("command name of the victim");
	u64 cgroup KIND("cgroup") DOC("cgroup v2 of the victim");
	enum oom_why why DOC("whose memory ran out");
	u32 pad;
};
struct kill_values {
	u64 kills COUNTER DOC("processes killed");
	u64 bytes COUNTER UNIT("bytes") DOC("memory they had");
};
METRICS(kills, struct kill_labels, struct kill_values, 1024, "Processes killed for memory");

/* enum oom_why has the same order */
enum oom_constraint {
	CONSTRAINT_NONE,
	CONSTRAINT_CPUSET,
	CONSTRAINT_MEMORY_POLICY,
	CONSTRAINT_MEMCG,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct oom_control {
	struct mem_cgroup *memcg;
	u32 gfp_mask;
	int order;
	unsigned long totalpages;
	long chosen_points;
	enum oom_constraint constraint;
};
struct signal_struct___oom {
	short oom_score_adj;
	void *oom_mm; /* of a victim */
};
#pragma clang attribute pop

/* Of the task that runs in oom_kill_process(), by thread: what the kernel decided there. */
struct decision {
	struct mem_cgroup *memcg; /* at its limit, or NULL */
	u64 total_pages;          /* of the machine or that cgroup, with swap; 0: not known */
	u64 points;
	enum oom_why why;
	s32 order;
	u32 gfp;
	bool told;
	u8 pad[3];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct decision);
} decisions SEC(".maps");

/* Victims that still live. */
struct victim {
	struct task task;
	u64 at_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32); /* process */
	__type(value, struct victim);
} victims SEC(".maps");

static __noinline int kill_begins(struct oom_control *oc)
{
	u32 thread = bpf_get_current_pid_tgid(), constraint = BPF_CORE_READ(oc, constraint);
	struct decision d = { .told = true, .why = OOM_WHY_MACHINE };

	d.memcg = BPF_CORE_READ(oc, memcg);
	d.total_pages = BPF_CORE_READ(oc, totalpages);
	d.points = BPF_CORE_READ(oc, chosen_points);
	d.order = BPF_CORE_READ(oc, order);
	d.gfp = BPF_CORE_READ(oc, gfp_mask);
	if (d.order == -1)
		d.why = OOM_WHY_SYSRQ;
	else
		d.why = OOM_WHY_MACHINE + constraint;
	bpf_map_update_elem(&decisions, &thread, &d, BPF_ANY);
	return 0;
}

static __noinline int kill_ends(void)
{
	u32 thread = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&decisions, &thread);
	return 0;
}

/* Both programs of a rank, or neither. */
#define DECISION(rank)                                                                             \
	ALT(decision, rank)                                                                        \
	OPTIONAL("what the kernel says of why, order and points: why is concluded from the limits")

DECISION(1) SEC("?fentry/oom_kill_process") int BPF_PROG(begins_fentry, struct oom_control *oc)
{
	return kill_begins(oc);
}

DECISION(1) SEC("?fexit/oom_kill_process") int BPF_PROG(ends_fexit)
{
	return kill_ends();
}

DECISION(2) SEC("?kprobe/oom_kill_process") int BPF_KPROBE(begins_kprobe, struct oom_control *oc)
{
	return kill_begins(oc);
}

DECISION(2) SEC("?kretprobe/oom_kill_process") int BPF_KRETPROBE(ends_kretprobe)
{
	return kill_ends();
}

/* A charge failed: the cgroup has less left than was asked for, which is mostly a page. */
#define NEARLY_BYTES (256 << 10)

static __noinline int conclude(struct task_struct *task, struct decision *d)
{
	struct mem_cgroup *memcg = task_memcg(task);
	u64 limit;

	if (!d)
		return 0;
	d->why = OOM_WHY_MACHINE;
	for (int i = 0; i < CGROUP_DEPTH_MAX && memcg; i++) {
		limit = memcg_limit_bytes(memcg);
		if (limit && memcg_usage_bytes(memcg) + NEARLY_BYTES >= limit) {
			d->why = OOM_WHY_CGROUP_LIMIT;
			d->memcg = memcg;
			d->total_pages = limit / page_size(); /* without swap */
			return 0;
		}
		memcg = memcg_parent(memcg);
	}
	return 0;
}

static __noinline int count_kill(struct task_struct *task, enum oom_why why, u64 bytes)
{
	struct kill_labels key = {};
	struct kill_values *row;

	if (label(kills, 0))
		BPF_CORE_READ_STR_INTO(&key.comm, task, comm);
	if (label(kills, 1))
		key.cgroup = task_cgroup_id(task);
	if (label(kills, 2))
		key.why = why;
	row = row_of(kills, &key);
	if (!row)
		return 0;
	add(row->kills, 1);
	add(row->bytes, bytes);
	return 0;
}

static __always_inline void describe_victim(struct oom *e, struct task_struct *task,
					    struct mm_struct *mm)
{
	struct signal_struct___oom *signal = (void *)task_signal(task);

	e->anon_bytes = mm_counter_bytes(mm, MM_COUNTER_ANON, true);
	e->file_bytes = mm_counter_bytes(mm, MM_COUNTER_FILE, true);
	e->shmem_bytes = mm_counter_bytes(mm, MM_COUNTER_SHMEM, true);
	e->rss_bytes = e->anon_bytes + e->file_bytes + e->shmem_bytes;
	e->swap_bytes = mm_counter_bytes(mm, MM_COUNTER_SWAP, true);
	e->pgtables_bytes = mm_pgtables_bytes(mm);
	e->virtual_bytes = mm_virtual_bytes(mm);
	e->oom_score_adj = BPF_CORE_READ(signal, oom_score_adj);
}

static __always_inline void describe_reason(struct oom *e, struct decision *d)
{
	e->why = d->why;
	e->order = d->order;
	e->gfp = d->gfp;
	e->points = d->points;
	e->why_is_told = d->told;
	if (!d->memcg)
		return;
	e->usage_bytes = memcg_usage_bytes(d->memcg);
	e->limit_bytes = memcg_limit_bytes(d->memcg);
	text_cgroup(e, cgroup_at_limit, memcg_node(d->memcg));
}

/* --- who is next --- */

/* Among whom a kill chose. */
struct scope {
	u64 cgroup; /* number of the memory cgroup's directory; 0: the machine */
	u64 total_pages;
	u32 victim_pid;
	u32 due; /* nobody has looked yet */
};

/* That many cgroups may kill between two looks; who would be next in others is not told. */
#define SCOPES 8
struct scope last_kills[SCOPES];

/* Who may be next, in all scopes. */
struct candidate {
	struct task task;
	u64 rss_bytes, swap_bytes;
	s64 adj;
};
struct candidate candidate;

/* The look that is underway. */
struct look {
	struct scope scope; /* not due: none */
	struct candidate worst;
	s64 points;
	u32 found;
	u32 in; /* the candidate is in the scope */
};
struct look looks[SCOPES];
u64 look_id; /* 0: none */

static __always_inline u64 memcg_number(struct mem_cgroup *memcg)
{
	struct kernfs_node *node = memcg_node(memcg);

	return BPF_CORE_READ(node, id);
}

/* Where the kill of this scope is noted: over the last one of the same, or where none is due. */
static __always_inline struct scope *scope_for(u64 cgroup)
{
	struct scope *free = NULL;

	for (int i = 0; i < SCOPES; i++) {
		struct scope *scope = &last_kills[i];

		if (!scope->due)
			free = scope;
		else if (scope->cgroup == cgroup)
			return scope;
	}
	return free;
}

/*
 * Of a cpuset's or a memory policy's nodes nobody knows here who has memory on them. The kernel kills
 * one at a time, so nobody else notes a scope meanwhile.
 */
static __noinline int next_is_due(const struct decision *d, u32 victim_pid)
{
	struct mem_cgroup *memcg;
	struct scope *scope;
	u64 cgroup;

	if (!d || !d->total_pages || sonda_conf.min_ns)
		return 0;
	if (d->why != OOM_WHY_MACHINE && d->why != OOM_WHY_SYSRQ && d->why != OOM_WHY_CGROUP_LIMIT)
		return 0;
	memcg = d->memcg;
	cgroup = memcg ? memcg_number(memcg) : 0;
	scope = scope_for(cgroup);
	if (!scope)
		return 0;
	scope->cgroup = cgroup;
	scope->total_pages = d->total_pages;
	scope->victim_pid = victim_pid;
	barrier();
	scope->due = 1;
	return 0;
}

/* --- the victim's end --- */

static __noinline int victim_died(void *ctx, u32 pid)
{
	struct victim victim, *found = bpf_map_lookup_elem(&victims, &pid);
	struct oom_died *e;
	u64 took_ns;

	if (!found)
		return 0;
	victim = *found;
	if (bpf_map_delete_elem(&victims, &pid)) /* another thread that went at the same moment */
		return 0;
	took_ns = bpf_ktime_get_ns() - victim.at_ns;
	if (!notable(0, took_ns))
		return 0;
	e = event_new(oom_died);
	if (!e)
		return 0;
	e->task = victim.task;
	e->took_ns = took_ns;
	event_send(ctx, e);
	return 0;
}

/* No thread of the process is left, or only ones that are beyond sched_process_exit. */
static __always_inline bool is_dead(struct task_struct *task)
{
	return !BPF_CORE_READ(task_signal(task), live.counter);
}

/* The victim's: task is the thread that was found to have memory. */
SEC("tp_btf/mark_victim") NEED("tpargs mark_victim 2")
int BPF_PROG(victim_marked, struct task_struct *task)
{
	u32 thread = bpf_get_current_pid_tgid(), pid = BPF_CORE_READ(task, tgid);
	struct mm_struct *mm = task->mm;
	struct decision *told = bpf_map_lookup_elem(&decisions, &thread);
	struct decision d = { .order = -1 };
	struct victim victim = {};
	struct oom *e;

	if (!wanted_task(task))
		return 0;
	if (told)
		d = *told;
	else
		conclude(task, &d);
	if (tables_wanted())
		count_kill(task, d.why,
			   mm_counter_bytes(mm, MM_COUNTER_ANON, true) +
				   mm_counter_bytes(mm, MM_COUNTER_FILE, true) +
				   mm_counter_bytes(mm, MM_COUNTER_SHMEM, true));
	if (!events_wanted())
		return 0;
	victim.at_ns = bpf_ktime_get_ns();
	task_fill(&victim.task, task);
	bpf_map_update_elem(&victims, &pid, &victim, BPF_ANY);
	e = sonda_conf.min_ns ? NULL : event_new(oom); /* min is about the time to die, told then */
	if (e) {
		e->task = victim.task;
		e->trigger_pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(e->trigger_comm, sizeof(e->trigger_comm));
		describe_victim(e, task, mm);
		describe_reason(e, &d);
		event_send(ctx, e);
	}
	/* It was sent its signal before, and may have been so quick that its end went unnoticed. */
	next_is_due(&d, pid);
	return is_dead(task) ? victim_died(ctx, pid) : 0;
}

/* Since 6.17 the tracepoint says whether this is the last thread. */
ALT(death, 1) NEED("tpargs sched_process_exit 2") SEC("?tp_btf/sched_process_exit")
int BPF_PROG(last_thread_exits, struct task_struct *task, bool last)
{
	return last && events_wanted() ? victim_died(ctx, task->tgid) : 0;
}

ALT(death, 2) SEC("?tp_btf/sched_process_exit") int BPF_PROG(thread_exits, struct task_struct *task)
{
	if (!events_wanted() || !is_dead(task))
		return 0;
	return victim_died(ctx, task->tgid);
}

/* --- the look for who is next --- */

static __always_inline void look_begins(u64 id)
{
	look_id = 0;
	for (int i = 0; i < SCOPES; i++) {
		struct scope *scope = &last_kills[i];
		struct look *look = &looks[i];

		look->scope = *scope;
		look->found = 0;
		if (!scope->due)
			continue;
		scope->due = 0;
		look_id = id;
	}
}

/* Notes in which scopes the task is. */
static __noinline int find_scopes(struct task_struct *task)
{
	struct mem_cgroup *memcg = task_memcg(task);
	u64 number;

	for (int i = 0; i < SCOPES; i++)
		looks[i].in = !looks[i].scope.cgroup;
	for (int level = 0; level < CGROUP_DEPTH_MAX && memcg; level++) {
		number = memcg_number(memcg);
		for (int i = 0; i < SCOPES; i++)
			if (looks[i].scope.cgroup == number)
				looks[i].in = 1;
		memcg = memcg_parent(memcg);
	}
	return 0;
}

/* oom_badness() of the kernel, 5.9 and newer. `mm`: the task's. */
static __always_inline void weigh(struct task_struct *task, struct mm_struct *mm)
{
	struct signal_struct___oom *signal = (void *)task_signal(task);
	s64 adj = BPF_CORE_READ(signal, oom_score_adj), own, points;

	if (adj == -1000 || BPF_CORE_READ(signal, oom_mm))
		return;
	candidate.adj = adj;
	candidate.rss_bytes = mm_counter_bytes(mm, MM_COUNTER_ANON, false) +
			      mm_counter_bytes(mm, MM_COUNTER_FILE, false) +
			      mm_counter_bytes(mm, MM_COUNTER_SHMEM, false);
	candidate.swap_bytes = mm_counter_bytes(mm, MM_COUNTER_SWAP, false);
	own = (candidate.rss_bytes + candidate.swap_bytes + mm_pgtables_bytes(mm)) / page_size();
	task_fill(&candidate.task, task);
	find_scopes(task);
	for (int i = 0; i < SCOPES; i++) {
		struct look *look = &looks[i];

		points = own + adj * (s64)(look->scope.total_pages / 1000);
		if (!look->scope.due || !look->in || (look->found && points <= look->points))
			continue;
		look->found = 1;
		look->points = points;
		look->worst = candidate;
	}
}

static __noinline int tell_next(void *ctx, u32 i)
{
	struct look *look = &looks[i & (SCOPES - 1)];
	struct oom_next *e = look->scope.due && look->found ? event_new(oom_next) : NULL;

	if (!e)
		return 0;
	e->task = look->worst.task;
	e->victim_pid = look->scope.victim_pid;
	e->points = look->points > 0 ? look->points : 0;
	e->rss_bytes = look->worst.rss_bytes;
	e->swap_bytes = look->worst.swap_bytes;
	e->oom_score_adj = look->worst.adj;
	event_send(ctx, e);
	return 0;
}

EVERY(1000) SEC("iter/task") int look_for_next(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u64 id = ctx->meta->session_id + 1;

	if (!events_wanted())
		return 0;
	if (task && !ctx->meta->seq_num)
		look_begins(id);
	if (look_id != id)
		return 0;
	if (!task) {
		look_id = 0;
		for (int i = 0; i < SCOPES; i++)
			tell_next(ctx, i);
		return 0;
	}
	/* init is never chosen, and threads of the kernel have no memory */
	if (task->pid != task->tgid || task->tgid == 1 || task->flags & PF_KTHREAD || !task->mm)
		return 0;
	weigh(task, task->mm);
	return 0;
}
