/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* A congestion control, asked for by name: what the kernel calls is the probe's own. */
#include "tests/data/hook.h"

HOOK(struct_ops, "A congestion control")

struct sock;
struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/ssthresh")
u32 threshold(u64 *ctx)
{
	return 2;
}

SEC("struct_ops/cong_avoid")
void avoid(u64 *ctx)
{
}

SEC("struct_ops/undo_cwnd")
u32 undo(u64 *ctx)
{
	return 10;
}

SEC("struct_ops/init")
void begins(u64 *ctx)
{
	tell_of(ctx, 0, 0, 0);
}

SEC(".struct_ops.link")
struct tcp_congestion_ops control = {
	.ssthresh = (void *)threshold,
	.cong_avoid = (void *)avoid,
	.undo_cwnd = (void *)undo,
	.init = (void *)begins,
	.name = "sonda_test",
};
