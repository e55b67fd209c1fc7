/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Samples of what runs on each CPU. */
#include "tests/data/hook.h"

HOOK(sample, "Samples");
PARAM(u32, hz, 99, DOC("a second on each CPU") RANGE(1, 1000));

SEC("perf_event")
TARGETS("cpu-clock:@hz")
int sample(void *ctx)
{
	return tell(ctx, bpf_get_smp_processor_id(), 0);
}
