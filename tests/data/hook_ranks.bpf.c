/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* One operation by three methods: fentry and fexit, kprobes, tracepoints. */
#include "tests/data/hook.h"

HOOK(ranks, "A call and its result, by the best method there is")

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, s64);
} lengths SEC(".maps");

static __noinline int begins(s64 length)
{
	u32 tid = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&lengths, &tid, &length, BPF_ANY);
	return 0;
}

/* `at` is the length given, `value` the result. */
static __noinline int returns(void *ctx, s64 result)
{
	u32 tid = bpf_get_current_pid_tgid();
	s64 *length = bpf_map_lookup_elem(&lengths, &tid), at;

	if (!length)
		return 0;
	at = *length;
	bpf_map_delete_elem(&lengths, &tid);
	return tell(ctx, at, result);
}

ENTRY(truncate, vfs_truncate, truncate_in, const void *path, s64 length)
{
	return begins(length);
}

RETURN(truncate, vfs_truncate, 2, truncate_out)
{
	return returns(ctx, (int)ret);
}

ALT(truncate, 3)
SEC("?tp/syscalls/sys_enter_truncate") int truncate_begins(struct syscall_args *ctx)
{
	return begins(ctx->arg[1]);
}

ALT(truncate, 3)
SEC("?tp/syscalls/sys_exit_truncate") int truncate_returns(struct syscall_args *ctx)
{
	return returns(ctx, ctx->arg[0]);
}
