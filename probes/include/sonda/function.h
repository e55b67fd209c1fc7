/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What user.call and kernel.call have in common: what the return value of a function that the user names
 * means, the table of its calls, and what is done when one returns.
 */
#pragma once

#include "sonda/frames.h"

enum returns { RETURNS_LONG, RETURNS_INT, RETURNS_NOTHING };
enum fails { FAILS_NEVER, FAILS_NEGATIVE, FAILS_NULL, FAILS_NONZERO };

PARAM(enum returns, returns, RETURNS_LONG, DOC("what it returns: an int is 32 bits wide"));
PARAM(enum fails, fails, FAILS_NEVER, DOC("which of its results is a failure (--errors)"));
TARGET_NAMES;

struct function_labels {
	char function[TARGET_NAME] KIND("str") DOC("which function");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 pad HIDE;
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct function_values {
	u64 calls COUNTER DOC("calls that returned");
	u64 errors COUNTER DOC("calls that failed, as --fails has it");
	u64 time_ns COUNTER UNIT("ns") DOC("time spent in them, with what they called");
	HIST_LOG2(took_ns, 38, UNIT("ns") DOC("time a call took"));
};
METRICS_PERCPU(calls, struct function_labels, struct function_values, 2048, "Calls by function");

static __always_inline s64 function_result(u64 raw)
{
	if (returns == RETURNS_INT)
		return (s32)raw;
	return returns == RETURNS_NOTHING ? 0 : (s64)raw;
}

/* 0, or negative for a failure. */
static __always_inline long function_failed(s64 result)
{
	switch (fails) {
	case FAILS_NEGATIVE:
		return result < 0 ? -1 : 0;
	case FAILS_NULL:
		return !result ? -1 : 0;
	case FAILS_NONZERO:
		return result ? -1 : 0;
	default:
		return 0;
	}
}

static __noinline int call_counted(struct frame *f, u64 took_ns, bool failed)
{
	struct function_values *row;
	struct function_labels key = {};

	if (!f)
		return 0;
	if (label(calls, 0))
		target_name(key.function, f->target);
	if (label(calls, 1))
		comm_now(key.comm);
	if (label(calls, 2))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(calls, 4))
		key.cgroup = task_cgroup_id(current_task());
	row = row_of(calls, &key);
	if (!row)
		return 0;
	add(row->calls, 1);
	if (failed)
		add(row->errors, 1);
	add(row->time_ns, took_ns);
	observe(row->took_ns, took_ns);
	return 0;
}

/* The probe's own: sends its event. */
static int call_told(void *ctx, struct frame *f, s64 result, u64 took_ns);

/* The call that `f` (NULL: it is not wanted) began is over. */
static __always_inline int call_returns(void *ctx, struct frame *f, u64 raw)
{
	s64 result = function_result(raw);
	long failed = function_failed(result);
	u64 took_ns;

	if (!f)
		return 0;
	took_ns = bpf_ktime_get_ns() - f->began_ns;
	if (notable(failed, took_ns)) {
		if (tables_wanted())
			call_counted(f, took_ns, failed);
		if (events_wanted())
			call_told(ctx, f, result, took_ns);
	}
	frame_done();
	return 0;
}
