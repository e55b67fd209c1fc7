/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Hogs: processes and cgroups that use too much for long enough. A verdict is told when it begins and
 * when it is over, and nothing in between.
 *
 * Once a second all threads are walked over, and what the kernel accounts to them is added up by
 * process; then each process is judged by what that grew, and then each cgroup by what its processes
 * used. Only forks, and opens if asked for, are counted as they happen, and what a process used since the last walk when nothing
 * is left of it: for those that live less than a second may be many.
 */
#include "sonda.bpf.h"

#include "kernel/account.h"
#include "kernel/open_calls.h"
#include "kernel/syscall.h"
#include "sonda/iter.h"

PROBE(hog, "process", "Verdicts: which process or cgroup uses too much, since when, how much");
FILTERS("task");

PARAM(u32, lasting, 5,
      DOC("for how long it has to be too much, and to be over") UNIT("s") RANGE(1, 3600));
PARAM(u64, cpu_percent, 80, DOC("CPU time of a process, in percent of one CPU; 0: never"));
PARAM(u64, cgroup_cpu_percent, 80, DOC("CPU time of a cgroup, in percent of all CPUs; 0: never"));
PARAM(u64, faults_per_s, 50000, DOC("page faults a second, major and minor; 0: never"));
PARAM(u64, read_bytes_per_s, 104857600, DOC("bytes read from disks a second; 0: never"));
PARAM(u64, written_bytes_per_s, 104857600, DOC("bytes written for disks a second; 0: never"));
PARAM(u64, forks_per_s, 200, DOC("processes and threads made a second; 0: never"));
PARAM(u64, opens_per_s, 0,
      DOC("calls that open files a second, also in vain; 0: never, for where the kernel has no fentry every system call pays for it"));

enum hog_of {
	HOG_OF_CPU_PERCENT,
	HOG_OF_FAULTS_PER_S,
	HOG_OF_READ_BYTES_PER_S,
	HOG_OF_WRITTEN_BYTES_PER_S,
	HOG_OF_FORKS_PER_S,
	HOG_OF_OPENS_PER_S,
};
#define USES         6 /* of enum hog_of */
#define USES_COUNTED HOG_OF_FORKS_PER_S /* from there on they are counted as they happen */
enum hog_step { HOG_STEP_BEGIN, HOG_STEP_END };
enum hog_scope { HOG_SCOPE_PROCESS, HOG_SCOPE_CGROUP };
enum hog_trend { HOG_TREND_STEADY, HOG_TREND_RISING, HOG_TREND_FALLING };

struct who {
	u32 pid KIND("pid")
		DOC("the process, or the one of the cgroup that uses most; 0: short-lived ones");
	u32 uid KIND("uid") HIDE DOC("user it runs as");
	u64 start_ns KIND("boottime") HIDE DOC("when it began; with pid it is unique");
	char comm[16] KIND("comm") DOC("its command name");
};

EVENT(hog, "A process or a cgroup began or ceased to use too much")
{
	struct who who;
	u64 cgroup KIND("cgroup") DOC("the cgroup (v2), or that of the process");
	enum hog_step step DOC("begin: it has lasted long enough; end: it is over");
	enum hog_scope scope DOC("whose it is: one process's, or a whole cgroup's");
	enum hog_of what DOC("what is used; the numbers are in this unit");
	u64 rate DOC("how much now");
	u64 limit DOC("from where on it is too much");
	u64 mean DOC("how much on the average, while it lasted");
	u64 peak DOC("how much at most in a second");
	enum hog_trend trend DOC("its last seconds against its mean");
	u64 lasted_ns KIND("duration") DOC("for how long it has been too much");
};

/* What is used, while it is too much. */
struct spell {
	u64 since_ns; /* 0: it isn't */
	u64 until_ns; /* when it was too much last */
	u64 used;     /* from `since_ns` to `until_ns` */
	u64 paused;   /* used since then */
	u64 peak;     /* the rest are rates */
	u64 late;     /* average that forgets: half of it is the last second */
	u64 told;
	struct who who; /* of a cgroup: who used most, when it was too much last */
};
/* What a process or a cgroup uses. */
struct load {
	u64 walk;    /* in which it was seen last */
	u64 judged;  /* the last walk that it was judged by */
	u64 at_ns;   /* when `used` was */
	u64 then_ns; /* when `then` was; 0: it isn't known */
	u64 shrunk;  /* it was less than before, and not judged */
	u64 used[USES];
	u64 then[USES];
	struct spell spells[USES];
};
struct process {
	struct load load;
	struct who who;
	u64 cgroup;
	/* Counted as they happen. The kernel keeps the bytes of threads that are gone too, but together
	 * with those of all children. */
	u64 counted[USES - USES_COUNTED];
	u64 gone_read_bytes;
	u64 gone_written_bytes;
};
struct group {
	struct load load;
	u64 most[USES]; /* what a process of it used, since it was judged */
	struct who who[USES];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct process);
} processes SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct group);
} groups SEC(".maps");

static const struct process new_process;
static const struct group new_group;

/* The walk over all threads that is underway, or was the last. */
u64 walk_id;
u64 walk_ns;
u64 walk_before_ns; /* when the one before began; 0: there was none */

#define SECOND_NS 1000000000ull

/* --- verdicts --- */

static __always_inline u64 limit_of(enum hog_of what, enum hog_scope scope)
{
	switch (what) {
	case HOG_OF_CPU_PERCENT:
		return scope == HOG_SCOPE_CGROUP ? cgroup_cpu_percent : cpu_percent;
	case HOG_OF_FAULTS_PER_S:
		return faults_per_s;
	case HOG_OF_READ_BYTES_PER_S:
		return read_bytes_per_s;
	case HOG_OF_WRITTEN_BYTES_PER_S:
		return written_bytes_per_s;
	case HOG_OF_FORKS_PER_S:
		return forks_per_s;
	default:
		return opens_per_s;
	}
}

static __always_inline u64 rate_of(enum hog_of what, enum hog_scope scope, u64 used, u64 span_ns)
{
	u64 span_ms = span_ns / 1000000;

	if (!span_ms)
		return 0;
	if (what != HOG_OF_CPU_PERCENT)
		return used * 1000 / span_ms;
	used = used / 10000 / span_ms;
	return scope == HOG_SCOPE_CGROUP ? used / (sonda_conf.cpus ?: 1) : used;
}

static __always_inline enum hog_trend trend_of(u64 late, u64 mean)
{
	if (late > mean + mean / 8)
		return HOG_TREND_RISING;
	return late < mean - mean / 8 ? HOG_TREND_FALLING : HOG_TREND_STEADY;
}

/* Whose it is, what, and how much now. */
struct verdict {
	u64 cgroup;
	u64 rate;
	enum hog_of what;
	enum hog_scope scope;
	enum hog_step step;
};

static __noinline int tell(void *ctx, const struct verdict *v, const struct spell *spell)
{
	struct hog *e = event_new(hog);

	if (!e || !v || !spell)
		return 0;
	e->who = spell->who;
	e->cgroup = v->cgroup;
	e->step = v->step;
	e->scope = v->scope;
	e->what = v->what;
	e->rate = v->rate;
	e->limit = limit_of(v->what, v->scope);
	e->lasted_ns = spell->until_ns - spell->since_ns;
	e->mean = rate_of(v->what, v->scope, spell->used, e->lasted_ns);
	e->peak = spell->peak;
	e->trend = trend_of(spell->late, e->mean);
	event_send(ctx, e);
	return 0;
}

/* Looks come a little early or late. */
static __always_inline bool is_long_enough(u64 ns)
{
	return ns + SECOND_NS / 2 >= lasting * SECOND_NS;
}

static __always_inline void spell_goes_on(struct spell *s, const struct load *l,
					  const struct who *who, u64 used, u64 rate)
{
	s->who = *who;
	if (!s->since_ns) {
		s->since_ns = l->then_ns;
		s->late = rate;
	}
	s->until_ns = l->at_ns;
	s->used += s->paused + used;
	s->paused = 0;
	s->late = (s->late + rate) / 2;
	if (rate > s->peak)
		s->peak = rate;
}

static __always_inline void judge_use(void *ctx, const struct load *l, struct spell *s,
				      const struct who *who, struct verdict *v, u64 used)
{
	u64 limit = limit_of(v->what, v->scope);

	v->rate = rate_of(v->what, v->scope, used, l->at_ns - l->then_ns);
	if (limit && v->rate >= limit) {
		spell_goes_on(s, l, who, used, v->rate);
		if (s->told || !is_long_enough(s->until_ns - s->since_ns))
			return;
		s->told = 1;
		v->step = HOG_STEP_BEGIN;
		tell(ctx, v, s);
		return;
	}
	if (!s->since_ns)
		return;
	s->paused += used;
	if (s->told && !is_long_enough(l->at_ns - s->until_ns))
		return;
	v->step = HOG_STEP_END;
	if (s->told)
		tell(ctx, v, s);
	__builtin_memset(s, 0, sizeof(*s));
}

/* Nothing is left of it. */
static __always_inline void end_use(void *ctx, struct spell *s, struct verdict *v)
{
	v->rate = 0;
	v->step = HOG_STEP_END;
	if (s->told)
		tell(ctx, v, s);
}

/* A thread that went between the walk's look at its process and at itself is in neither sum; the next
 * look has it again. */
static __always_inline bool has_shrunk(const struct load *l)
{
	bool shrunk = false;

	_Pragma("unroll") for (int i = 0; i < USES; i++) shrunk |= l->used[i] < l->then[i];
	return shrunk;
}

/* --- the walk --- */

static __always_inline void walk_begins(u64 id)
{
	u64 now = bpf_ktime_get_boot_ns();

	/* the one at sonda's end may come at once after another */
	if (now - walk_ns < SECOND_NS / 2)
		return;
	walk_before_ns = walk_ns;
	walk_ns = now;
	walk_id = id;
}

static __noinline struct process *process_of(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	u32 pid = task->tgid;
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	if (p && p->who.start_ns == leader->start_boottime)
		return p;
	if (pid == sonda_conf.self || (sonda_conf.sets_on && !task_in_filters(leader)))
		return NULL;
	bpf_map_update_elem(&processes, &pid, &new_process, BPF_ANY);
	p = bpf_map_lookup_elem(&processes, &pid);
	if (!p) {
		count_lost(LOSS_STATE);
		return NULL;
	}
	p->who.pid = pid;
	p->who.start_ns = leader->start_boottime;
	if (walk_before_ns && p->who.start_ns > walk_before_ns)
		p->load.then_ns = walk_before_ns; /* it had used nothing */
	return p;
}

static __always_inline void add_thread(u64 *used, struct task_struct *task)
{
	struct task_struct___account *thread = (void *)task;

	used[HOG_OF_CPU_PERCENT] += thread->se.sum_exec_runtime;
	used[HOG_OF_FAULTS_PER_S] += thread->min_flt + thread->maj_flt;
	if (!has_io_accounts())
		return;
	used[HOG_OF_READ_BYTES_PER_S] += thread->ioac.read_bytes;
	used[HOG_OF_WRITTEN_BYTES_PER_S] += thread->ioac.write_bytes;
}

/* What is not in any of its threads. */
static __always_inline void add_gone(u64 *used, struct task_struct *task, const struct process *p)
{
	struct signal_struct___account *signal = ((struct task_struct___account *)task)->signal;

	used[HOG_OF_CPU_PERCENT] += signal->sum_sched_runtime;
	used[HOG_OF_FAULTS_PER_S] += signal->min_flt + signal->maj_flt;
	if (!p)
		return;
	used[HOG_OF_READ_BYTES_PER_S] += p->gone_read_bytes;
	used[HOG_OF_WRITTEN_BYTES_PER_S] += p->gone_written_bytes;
	used[HOG_OF_FORKS_PER_S] += p->counted[HOG_OF_FORKS_PER_S - USES_COUNTED];
	used[HOG_OF_OPENS_PER_S] += p->counted[HOG_OF_OPENS_PER_S - USES_COUNTED];
}

/* The first of its threads in this walk: what those that are gone had used. */
static __always_inline void process_begins(struct process *p, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	p->load.walk = walk_id;
	p->load.at_ns = bpf_ktime_get_boot_ns();
	p->who.uid = task_uid(leader);
	BPF_CORE_READ_STR_INTO(&p->who.comm, leader, comm);
	p->cgroup = task_cgroup_id(leader);
	__builtin_memset(p->load.used, 0, sizeof(p->load.used));
	add_gone(p->load.used, task, p);
}

AT_START EVERY(1000) SEC("iter/task") int walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u64 id = ctx->meta->session_id + 1;
	struct process *p;

	if (!task)
		return 0;
	if (!ctx->meta->seq_num)
		walk_begins(id);
	p = walk_id == id ? process_of(task) : NULL;
	if (!p)
		return 0;
	if (p->load.walk != id)
		process_begins(p, task);
	add_thread(p->load.used, task);
	return 0;
}

/* --- processes --- */

static __noinline struct group *group_seen(u64 cgroup)
{
	struct group *g = bpf_map_lookup_elem(&groups, &cgroup);

	if (!g) {
		bpf_map_update_elem(&groups, &cgroup, &new_group, BPF_NOEXIST);
		g = bpf_map_lookup_elem(&groups, &cgroup);
		if (!g) {
			count_lost(LOSS_STATE);
			return NULL;
		}
		g->load.then_ns = walk_before_ns;
	}
	g->load.walk = walk_id;
	return g;
}

static __always_inline void add_to_group(struct group *g, const struct who *who, u32 what, u64 used)
{
	if (what < USES_COUNTED) /* the others it has already */
		add(g->load.used[what], used);
	if (used <= g->most[what])
		return;
	g->most[what] = used;
	if (who)
		g->who[what] = *who;
	else
		__builtin_memset(&g->who[what], 0, sizeof(g->who[what]));
}

static __noinline int judge_process(void *ctx, struct process *p)
{
	struct verdict v = { .scope = HOG_SCOPE_PROCESS };
	struct group *g;
	struct load *l;
	u64 used;

	if (!p)
		return 0;
	l = &p->load;
	g = group_seen(p->cgroup);
	l->shrunk = !l->shrunk && has_shrunk(l);
	if (l->shrunk)
		return 0;
	v.cgroup = p->cgroup;
	_Pragma("unroll") for (int i = 0; i < USES; i++)
	{
		used = l->used[i] > l->then[i] ? l->used[i] - l->then[i] : 0;
		l->then[i] = l->used[i];
		v.what = i;
		if (!used && !l->spells[i].since_ns)
			continue;
		if (g && l->then_ns)
			add_to_group(g, &p->who, i, used);
		if (l->then_ns)
			judge_use(ctx, l, &l->spells[i], &p->who, &v, used);
	}
	l->then_ns = l->at_ns;
	return 0;
}

static __noinline int end_process(void *ctx, struct process *p)
{
	struct verdict v = { .scope = HOG_SCOPE_PROCESS };

	if (!p)
		return 0;
	v.cgroup = p->cgroup;
	_Pragma("unroll") for (int i = 0; i < USES; i++)
	{
		v.what = i;
		end_use(ctx, &p->load.spells[i], &v);
	}
	return 0;
}

OVER(processes)
AT_START EVERY(1000)
	SEC("iter/bpf_map_elem") int judge_processes(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 *key = ctx->key, pid;
	struct process *p;

	if (!key)
		return 0;
	pid = *key;
	p = bpf_map_lookup_elem(&processes, &pid);
	if (!p || p->load.judged == walk_id)
		return 0;
	if (p->load.walk != walk_id) {
		end_process(ctx, p);
		bpf_map_delete_elem(&processes, &pid);
		return 0;
	}
	p->load.judged = walk_id;
	judge_process(ctx, p);
	return 0;
}

/* --- cgroups --- */

static __noinline int judge_group(void *ctx, struct group *g, u64 cgroup)
{
	struct verdict v = { .cgroup = cgroup, .scope = HOG_SCOPE_CGROUP };
	struct load *l;
	u64 used;

	if (!g)
		return 0;
	l = &g->load;
	l->at_ns = walk_ns;
	_Pragma("unroll") for (int i = 0; i < USES; i++)
	{
		used = l->used[i] - l->then[i];
		l->then[i] += used;
		v.what = i;
		if (l->then_ns && (used || l->spells[i].since_ns))
			judge_use(ctx, l, &l->spells[i], &g->who[i], &v, used);
		g->most[i] = 0;
	}
	l->then_ns = l->at_ns;
	return 0;
}

static __noinline int end_group(void *ctx, struct group *g, u64 cgroup)
{
	struct verdict v = { .cgroup = cgroup, .scope = HOG_SCOPE_CGROUP };

	if (!g)
		return 0;
	_Pragma("unroll") for (int i = 0; i < USES; i++)
	{
		v.what = i;
		end_use(ctx, &g->load.spells[i], &v);
	}
	return 0;
}

OVER(groups)
AT_START EVERY(1000) SEC("iter/bpf_map_elem") int judge_groups(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 *key = ctx->key, cgroup;
	struct group *g;

	if (!key)
		return 0;
	cgroup = *key;
	g = bpf_map_lookup_elem(&groups, &cgroup);
	if (!g || g->load.judged == walk_id)
		return 0;
	if (g->load.walk != walk_id) {
		end_group(ctx, g, cgroup);
		bpf_map_delete_elem(&groups, &cgroup);
		return 0;
	}
	g->load.judged = walk_id;
	judge_group(ctx, g, cgroup);
	return 0;
}

/* --- what happens between two walks --- */

static __always_inline void count_use(struct task_struct *task, u32 pid, enum hog_of what)
{
	u64 cgroup = task_cgroup_id(task);
	struct process *p = bpf_map_lookup_elem(&processes, &pid);
	struct group *g = bpf_map_lookup_elem(&groups, &cgroup);

	if (p)
		add(p->counted[what - USES_COUNTED], 1);
	if (g && pid != sonda_conf.self && (p || !sonda_conf.sets_on || task_in_filters(task)))
		add(g->load.used[what], 1);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	count_use(parent, parent->tgid, HOG_OF_FORKS_PER_S);
	return 0;
}

static __always_inline int count_open(void)
{
	count_use(current_task(), bpf_get_current_pid_tgid() >> 32, HOG_OF_OPENS_PER_S);
	return 0;
}

#define OPENS(rank) IF_SET(opens_per_s) ALT(opens, rank)

OPENS(1) SEC("?fentry/do_sys_openat2") int BPF_PROG(opens_fentry)
{
	return count_open();
}

OPENS(2) SEC("?kprobe/do_sys_openat2") int BPF_KPROBE(opens_kprobe)
{
	return count_open();
}

OPENS(3) SEC("?tp_btf/sys_exit") int BPF_PROG(opens_returns, struct pt_regs *regs)
{
	long nr = syscall_nr(regs);
	bool is_32bit;

#define X(name, nr64, nr32) || nr == nr64 || nr == nr32
	if (!(false OPEN_CALLS(X)))
		return 0;
#undef X
	is_32bit = syscall_is_32bit();
#define X(name, nr64, nr32) || nr == (is_32bit ? nr32 : nr64)
	return false OPEN_CALLS(X) ? count_open() : 0;
#undef X
}

/* The bytes of a thread that is gone belong to its process, and at once to the cgroup where it lived so
 * short that it was never seen. */
static __always_inline void thread_gone(struct process *p, struct group *g,
					struct task_struct *task)
{
	struct task_struct___account *thread = (void *)task;

	if (!has_io_accounts())
		return;
	if (p) {
		add(p->gone_read_bytes, thread->ioac.read_bytes);
		add(p->gone_written_bytes, thread->ioac.write_bytes);
	} else if (g) {
		add_to_group(g, NULL, HOG_OF_READ_BYTES_PER_S, thread->ioac.read_bytes);
		add_to_group(g, NULL, HOG_OF_WRITTEN_BYTES_PER_S, thread->ioac.write_bytes);
	}
}

/* The cgroup gets what its process used since it was judged. */
static __always_inline void process_gone(struct process *p, struct group *g,
					 struct task_struct *task)
{
	u64 used[USES] = {}, then;

	add_gone(used, task, p);
	_Pragma("unroll") for (int i = 0; i < USES; i++)
	{
		then = p ? p->load.then[i] : 0;
		if (used[i] <= then)
			continue;
		add_to_group(g, p ? &p->who : NULL, i, used[i] - then);
		if (p)
			p->load.then[i] = used[i]; /* it may still be judged */
	}
}

/* Nothing is left of a thread; its process's first is the last to go. */
SEC("tp_btf/sched_process_free") int BPF_PROG(gone, struct task_struct *task)
{
	u64 cgroup = task_cgroup_id(task);
	struct group *g = bpf_map_lookup_elem(&groups, &cgroup);
	u32 pid = task->tgid;
	struct process *p = bpf_map_lookup_elem(&processes, &pid);

	if (pid == sonda_conf.self)
		return 0;
	if (p && pid == (u32)task->pid && p->who.start_ns != task->start_boottime)
		p = NULL; /* another has its number */
	/* never seen, though it was there in the last walk: the filters didn't want it. --exe and --tree
	 * can't be asked about it any more. */
	if (!p &&
	    (task->start_boottime < walk_ns || (sonda_conf.sets_on && !task_in_filters(task))))
		return 0;
	thread_gone(p, g, task);
	if (g && task->pid == task->tgid && (!p || p->load.then_ns))
		process_gone(p, g, task);
	return 0;
}
