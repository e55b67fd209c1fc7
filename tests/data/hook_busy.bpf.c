/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A slow program on a quick call: where tasks may be preempted inside it, others' calls are missed. */
#include "tests/data/hook.h"

HOOK(busy, "A slow program");
PARAM(u32, rounds, 1, DOC("how slow") RANGE(1, 256));

SEC("fentry")
TARGETS("__x64_sys_getppid __arm64_sys_getppid __do_sys_getppid sys_getppid")
int BPF_PROG(call)
{
	u32 zero = 0;

	if (!wanted())
		return 0;
	for (u32 i = 0; i < 256 && i < rounds; i++)
		bpf_probe_read_kernel(&zero, sizeof(zero), current_task());
	return tell_of(ctx, bpf_get_current_pid_tgid() >> 32, 0, 0);
}
