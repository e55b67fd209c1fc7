/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Refused by every verifier: a map's value is used without asking whether there is one. */
#include "sonda.bpf.h"

PROBE(unverifiable, "example", "Shows what sonda check says of a refusal");

EVENT(unverifiable, "An exec was counted")
{
	u64 count DOC("how many");
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

SEC("tp_btf/sched_process_exec")
int BPF_PROG(unchecked, struct task_struct *task)
{
	u32 key = 1;
	u64 *count = bpf_map_lookup_elem(&counts, &key);
	struct unverifiable *e;

	*count += 1; /* the line that check must name */
	e = event_new(unverifiable);
	if (!e)
		return 0;
	e->count = *count;
	event_send(ctx, e);
	return 0;
}
