/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What system calls are made, by whom, how often they fail and how long they take: `strace -c` for
 * the whole machine. Counted per CPU; there is no stream of events.
 */
#include "sonda.bpf.h"

#include "sonda/calls.h"

PROBE(stat, "syscall", "System calls: how many, how many failed, how long they took");
FILTERS("task errors min");

struct call_labels {
	u32 syscall KIND("syscall") DOC("which call");
	u32 pid KIND("pid") HIDE DOC("process");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct call_values {
	u64 calls COUNTER DOC("calls made; one that is restarted counts again");
	u64 errors COUNTER DOC("calls that failed; without those that a signal interrupted");
	u64 time_ns COUNTER UNIT("ns") DOC("time spent in them, all threads together");
	HIST_LOG2(took_ns, 38,
		  UNIT("ns") DOC("time a call took, where it began and ended while watched"));
};
METRICS_PERCPU(calls, struct call_labels, struct call_values, 2048, "System calls");
RATIO(calls, error_ratio, errors, calls, DOC("share of the calls that failed"));

static __always_inline struct call_values *call_row(u32 nr)
{
	struct call_labels key = {};

	if (label(calls, 0))
		key.syscall = nr;
	if (label(calls, 1))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(calls, 2))
		comm_now(key.comm);
	if (label(calls, 3))
		key.cgroup = task_cgroup_id(current_task());
	return row_of(calls, &key);
}

static __always_inline int call_begins(long nr)
{
	struct call_values *row;

	if (!call_never_returns(nr)) {
		call_enters(nr);
		return 0;
	}
	if (!wanted() || !notable(0, 0))
		return 0;
	row = call_row(call_number(nr));
	if (row)
		add(row->calls, 1);
	return 0;
}

static __always_inline int call_ends(long nr, long ret)
{
	struct call_values *row;
	struct call call;

	if (!call_leaves(&call, nr, ret) || !notable(call.err, call.took_ns < 0 ? 0 : call.took_ns))
		return 0;
	row = call_row(call_number(call.nr));
	if (!row)
		return 0;
	add(row->calls, 1);
	if (call.err)
		add(row->errors, 1);
	if (call.took_ns >= 0) {
		add(row->time_ns, call.took_ns);
		observe(row->took_ns, call.took_ns);
	}
	return 0;
}

ALT(calls, 1) SEC("?tp_btf/sys_enter") int BPF_PROG(enters, struct pt_regs *regs, long nr)
{
	return call_begins(nr);
}

ALT(calls, 1) SEC("?tp_btf/sys_exit") int BPF_PROG(leaves, struct pt_regs *regs, long ret)
{
	return call_ends(syscall_nr_raw(regs), ret);
}

ALT(calls, 2)
SEC("?tp/raw_syscalls/sys_enter")
int enters_classic(struct trace_event_raw_sys_enter *ctx)
{
	return call_begins(ctx->id);
}

ALT(calls, 2)
SEC("?tp/raw_syscalls/sys_exit")
int leaves_classic(struct trace_event_raw_sys_exit *ctx)
{
	return call_ends(ctx->id, ctx->ret);
}
