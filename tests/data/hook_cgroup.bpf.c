/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What sockets do, by the cgroup they are in: packets, connections, the life of TCP. */
#include "tests/data/hook.h"

HOOK(cgroup, "Sockets");
PARAM(u16, port, 0, DOC("only of this port"));

/* IPv4 without options */
struct udp_packet {
	u8 address_part[20];
	u16 from, to, length, checksum;
};

static __always_inline int packet(struct __sk_buff *skb, u32 at)
{
	struct udp_packet p;

	if (skb->protocol == bpf_htons(0x0800) && !bpf_skb_load_bytes(skb, 0, &p, sizeof(p)) &&
	    p.address_part[9] == 17 && p.to == bpf_htons(port))
		tell_of(skb, 0, at, bpf_ntohs(p.length));
	return 1;
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	return packet(skb, 0);
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	return packet(skb, 1);
}

SEC("cgroup/connect4")
int connects(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(port))
		tell_of(ctx, 0, 2, ctx->type);
	return 1;
}

SEC("sockops")
int tcp(struct bpf_sock_ops *ctx)
{
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && bpf_ntohl(ctx->remote_port) == port)
		tell_of(ctx, 0, 3, ctx->op);
	return 1;
}
