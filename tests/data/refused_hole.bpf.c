/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Must be refused: labels with a hole, whose garbage would make two rows of one. */
#include "sonda.bpf.h"

PROBE(hole, "test", "Labels with a hole");

struct hole_labels {
	u32 pid KIND("pid");
	u64 cgroup KIND("cgroup");
};
struct hole_values {
	u64 count COUNTER;
};
METRICS(holes, struct hole_labels, struct hole_values, 16, "Holes");

SEC("raw_tp/sys_enter")
int hole(void *ctx)
{
	struct hole_labels key = {};
	struct hole_values *v = row_of(holes, &key);

	if (v)
		add(v->count, 1);
	return 0;
}
