/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * net.drop: packets that the kernel threw away, with its own reason by name (5.17), the function that
 * did it, and the flow. What a network card or its driver dropped never came here: driver.net and
 * `ethtool -S` tell of that.
 */
#include "sonda.bpf.h"

#include "kernel/skb.h"

PROBE(drop, "net", "Packets dropped by the kernel: why, where, of which flow");

/* Names come from the running kernel; before 5.17 it tells none. */
enum skb_drop_reason { SKB_NOT_DROPPED_YET, SKB_CONSUMED, SKB_DROP_REASON_NOT_SPECIFIED };

EVENT(drop, "A packet was dropped")
{
	enum skb_drop_reason reason DOC("why, as the kernel calls it; 0: it doesn't say");
	u64 location KIND("address") DOC("function that dropped it");
	u16 ethertype KIND("hex") HIDE DOC("what the packet is: 0x800 IPv4, 0x86dd IPv6, 0x806 ARP");
	u8 protocol DOC("IP protocol: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6; 0: it is no IP");
	struct ip from DOC("source address");
	u16 from_port KIND("port") DOC("source port; 0: the protocol has none");
	struct ip to DOC("destination address");
	u16 to_port KIND("port") DOC("destination port");
	u32 length_bytes UNIT("bytes") DOC("size, as far as headers were still there");
	char device[16] KIND("str") DOC("network device it came by or was to leave by");
	u32 ifindex KIND("ifindex") HIDE DOC("its index");
	u32 netns KIND("netns") HIDE DOC("network namespace");
};

struct drop_labels {
	enum skb_drop_reason reason DOC("why, as the kernel calls it");
	u32 protocol DOC("IP protocol: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6; 0: no IP");
	u64 location KIND("address") DOC("function that dropped it");
	char device[16] KIND("str") DOC("network device");
	u32 to_port KIND("port") HIDE DOC("destination port");
	u32 netns KIND("netns") HIDE DOC("network namespace");
};
struct drop_values {
	u64 packets COUNTER DOC("packets dropped");
	u64 bytes COUNTER UNIT("bytes") DOC("their bytes");
};
METRICS_PERCPU(drops, struct drop_labels, struct drop_values, 2048, "Dropped packets by reason");

static __noinline int drop_counted(struct sk_buff *skb, u64 location, u32 reason)
{
	struct drop_labels key = {};
	struct skb_flow flow = {};
	struct drop_values *row;

	if (label(drops, 1) || label(drops, 4))
		skb_flow(skb, &flow);
	if (label(drops, 0))
		key.reason = reason;
	if (label(drops, 1))
		key.protocol = flow.protocol;
	if (label(drops, 2))
		key.location = location;
	if (label(drops, 3))
		skb_device_name(skb, key.device);
	if (label(drops, 4))
		key.to_port = flow.ends.to_port;
	if (label(drops, 5))
		key.netns = skb_netns(skb);
	row = row_of(drops, &key);
	if (!row)
		return 0;
	add(row->packets, 1);
	add(row->bytes, skb_length(skb));
	return 0;
}

static __noinline int drop_told(void *ctx, struct sk_buff *skb, u64 location, u32 reason)
{
	struct skb_flow flow = {};
	struct drop *e = event_new(drop);

	if (!e)
		return 0;
	skb_flow(skb, &flow);
	e->reason = reason;
	e->location = location;
	e->ethertype = skb_protocol(skb);
	e->protocol = flow.protocol;
	e->from = flow.ends.from;
	e->from_port = flow.ends.from_port;
	e->to = flow.ends.to;
	e->to_port = flow.ends.to_port;
	e->length_bytes = skb_length(skb);
	skb_device_name(skb, e->device);
	e->ifindex = skb_ifindex(skb);
	e->netns = skb_netns(skb);
	event_send(ctx, e);
	return 0;
}

static __always_inline int dropped(void *ctx, struct sk_buff *skb, void *location, u32 reason)
{
	if (tables_wanted())
		drop_counted(skb, (u64)location, reason);
	if (events_wanted())
		drop_told(ctx, skb, (u64)location, reason);
	return 0;
}

ALT(drop, 1)
NEED("!tpargs kfree_skb 2")
SEC("?tp_btf/kfree_skb")
int BPF_PROG(with_reason, struct sk_buff *skb, void *location, u32 reason)
{
	return dropped(ctx, skb, location, reason);
}

ALT(drop, 2)
SEC("?tp_btf/kfree_skb")
int BPF_PROG(without_reason, struct sk_buff *skb, void *location)
{
	return dropped(ctx, skb, location, 0);
}
