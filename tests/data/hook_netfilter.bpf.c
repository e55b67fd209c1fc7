/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Packets at the hooks of a firewall. */
#include "tests/data/hook.h"

HOOK(netfilter, "Packets at the firewall's hooks")

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sk_buff {
	u32 len;
};
struct bpf_nf_ctx {
	const void *state;
	struct sk_buff *skb;
};
#pragma clang attribute pop

SEC("netfilter")
TARGETS("ipv4:local_in ipv4:local_out:-100")
int packet(struct bpf_nf_ctx *ctx)
{
	tell_of(ctx, 0, 0, ctx->skb->len);
	return 1; /* NF_ACCEPT */
}
