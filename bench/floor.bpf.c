/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The least that an event can cost: a program that does nothing but put a record of the size asked
 * for into a ring. What a probe costs is measured against it, at the same hook.
 */
#include <linux/bpf.h>
#include <asm/ptrace.h>
#include <asm/unistd.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define RECORD_MAX 4096

const volatile __u32 record_bytes = 64;
__u8 record[RECORD_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} ring SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int tell(void)
{
	__u32 size = record_bytes;

	if (size <= RECORD_MAX)
		bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("?tp_btf/sys_exit") int BPF_PROG(opens, struct pt_regs *regs)
{
	return regs->orig_rax == __NR_openat ? tell() : 0;
}

SEC("?tp_btf/sched_process_exec") int execs(void *ctx)
{
	return tell();
}
