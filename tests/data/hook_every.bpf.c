/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Programs that sonda runs itself: what was counted is told at the end, by both kinds of them. */
#include "tests/data/hook.h"

HOOK(every, "Run each so often");
PARAM(u32, number, 0, DOC("system call"));
ENDING;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter__bpf_map_elem {
	void *meta, *map;
	u32 *key;
	u64 *value;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} calls SEC(".maps");
u64 runs;

SEC("tp_btf/sys_enter")
int BPF_PROG(count, void *regs, long id)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 one = 1, *n;

	if (id != number)
		return 0;
	n = bpf_map_lookup_elem(&calls, &pid);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&calls, &pid, &one, BPF_NOEXIST);
	return 0;
}

SEC("raw_tp")
AT_START int first(void *ctx)
{
	return tell_of(ctx, 0, 2, runs);
}

SEC("raw_tp")
EVERY(20) int tick(void *ctx)
{
	__sync_fetch_and_add(&runs, 1);
	return ending() ? tell_of(ctx, 0, 0, runs) : 0;
}

SEC("iter/bpf_map_elem")
OVER(calls) EVERY(20) int each(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 *pid = ctx->key;
	u64 *n = ctx->value;

	return pid && n && ending() ? tell_of(ctx, *pid, 1, *n) : 0;
}
