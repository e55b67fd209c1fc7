/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Frames as they arrive. */
#include "tests/data/hook.h"

HOOK(xdp, "Frames that arrive")

SEC("xdp")
int frame(struct xdp_md *ctx)
{
	void *begin = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u16 *protocol = begin + 12;

	if ((void *)(protocol + 1) <= end && *protocol == bpf_htons(TEST_PROTOCOL))
		tell_of(ctx, 0, 0, end - begin);
	return XDP_PASS;
}
