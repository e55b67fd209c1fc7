/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Hooks of netfilter, whose programs (6.4) are handed packets as the kernel has them. */
#pragma once

#include "kernel/netdev.h"
#include "kernel/skb.h"
#include "kernel/sock.h"

enum { NFPROTO_IPV4 = 2, NFPROTO_IPV6 = 10 };
enum { NF_DROP, NF_ACCEPT };
enum { NF_PREROUTING, NF_INPUT, NF_FORWARD, NF_OUTPUT, NF_POSTROUTING };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nf_hook_state {
	u8 hook, pf;
	struct net_device *in, *out;
};

/* What connection tracking knows of it: a pointer, and in the lowest bits what it is to that. */
struct sk_buff___tracked {
	unsigned long _nfct;
};

#pragma clang attribute pop

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

enum { TRACKED_INFO = 7, TRACKED_NEW = 2 };

/* kfuncs of 6.4 */
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags,
			       struct bpf_dynptr *data) __ksym __weak;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *data, u32 offset, void *room,
			      u32 size) __ksym __weak;
