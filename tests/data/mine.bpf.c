/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Who signals whom: the worked example of docs/probes.md. */
#include "sonda.bpf.h"

PROBE(mine, "example", "Signals sent from one process to another");
FILTERS("task errors");
PARAM(bool, self, false, DOC("also signals that a process sends itself"));

EVENT(mine, "A signal was sent")
{
	struct task task;
	u32 target_pid KIND("pid") DOC("process that gets it");
	char target_comm[16] KIND("comm") DOC("its command name");
	s32 number KIND("signal") DOC("which signal");
	s32 err KIND("errno") DOC("0, or why it was not delivered");
};

struct signal_labels {
	char comm[16] KIND("comm") DOC("who sends");
	s32 number KIND("signal") DOC("which signal");
};
struct signal_values {
	u64 sent COUNTER DOC("signals sent");
};
METRICS(signals, struct signal_labels, struct signal_values, 1024, "Signals by sender");

/* What signal_generate(9) says became of the signal. */
enum { GENERATED, IGNORED, ALREADY_PENDING, OVERFLOW_FAIL, LOSE_INFO };

static __noinline int count_signal(int number)
{
	struct signal_labels key = {};
	struct signal_values *row;

	if (label(signals, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(signals, 1))
		key.number = number;
	row = row_of(signals, &key);
	if (row)
		add(row->sent, 1);
	return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_sent, int number, void *info, struct task_struct *target, int group, int result)
{
	u32 target_pid = BPF_CORE_READ(target, tgid);
	s32 err = result == OVERFLOW_FAIL ? -EAGAIN : 0;
	struct mine *e;

	if (!self && target_pid == bpf_get_current_pid_tgid() >> 32)
		return 0;
	if (!wanted() || !notable(err, 0))
		return 0;
	if (tables_wanted())
		count_signal(number);
	if (!events_wanted())
		return 0;
	e = event_new(mine);
	if (!e)
		return 0;
	task_now(&e->task);
	e->target_pid = target_pid;
	BPF_CORE_READ_STR_INTO(&e->target_comm, target, comm);
	e->number = number;
	e->err = err;
	event_send(ctx, e);
	return 0;
}
