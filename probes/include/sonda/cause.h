/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who caused an operation that ends in another context: at the end `current` is whoever was
 * interrupted, so cause and filters' verdict are taken when it begins and kept with its state.
 */
#pragma once

struct cause {
	struct task task;
	bool known;
	bool ours;     /* sonda's own: neither told nor counted */
	bool unwanted; /* by a filter */
	u8 pad[5];
};

/* The current task, of which bpf_get_current_pid_tgid() says `id`, is the cause. Where no events are wanted
 * only pid and name are kept. */
static __always_inline void cause_now_id(struct cause *cause, u64 id)
{
	cause->known = true;
	cause->ours = sonda_conf.self && id >> 32 == sonda_conf.self;
	cause->unwanted = sonda_conf.sets_on && !task_in_filters(current_task());
	cause->task.pid = id >> 32;
	if (events_wanted())
		task_now(&cause->task);
	else
		comm_now(cause->task.comm);
}

static __always_inline void cause_now(struct cause *cause)
{
	cause_now_id(cause, bpf_get_current_pid_tgid());
}

/* `task` is: it has what was there before the probe. */
static __always_inline void cause_of(struct cause *cause, struct task_struct *task)
{
	cause->known = true;
	cause->ours = sonda_conf.self && BPF_CORE_READ(task, tgid) == sonda_conf.self;
	cause->unwanted = sonda_conf.sets_on && !task_in_filters(task);
	task_fill(&cause->task, task);
}

/* Nobody knows: wanted where no filter asks for somebody. */
static __always_inline void cause_unknown(struct cause *cause)
{
	cause->unwanted = sonda_conf.sets_on && !task_in_filters(NULL);
}

/* Is the operation to be told? Once, at its end: counts it as filtered when not. */
static __always_inline bool cause_wanted(const struct cause *cause)
{
	if (cause->ours)
		return false;
	if (!cause->unwanted)
		return true;
	count_filtered();
	return false;
}
