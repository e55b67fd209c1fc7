/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Frames that come and go. */
#include "tests/data/hook.h"

HOOK(tc, "Frames, both ways")

static __always_inline int frame(struct __sk_buff *skb, u32 at)
{
	if (skb->protocol == bpf_htons(TEST_PROTOCOL))
		tell_of(skb, 0, at, skb->len);
	return -1; /* TC_ACT_UNSPEC, which is also TCX_NEXT: let it go on */
}

SEC("tc/ingress")
int comes(struct __sk_buff *skb)
{
	return frame(skb, 0);
}

SEC("tc/egress")
int goes(struct __sk_buff *skb)
{
	return frame(skb, 1);
}
