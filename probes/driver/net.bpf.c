/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What network devices and their drivers do, queue by queue: what the drivers were given and what they
 * brought, where they had no room, and whether polling keeps up with what arrives.
 *
 * One packet here is one buffer: with segmentation offload it becomes several on the wire, and several
 * received ones may have been merged. What a device itself dropped only `ethtool -S` tells.
 */
#include "sonda.bpf.h"

#include "kernel/skb.h"

PROBE(net, "driver", "Network devices: packets, polls and stops by queue");

enum net_trouble {
	NET_TIMEOUT, /* nothing was sent for seconds though the queue is full: the driver resets the device */
	NET_BUSY,    /* the driver took a packet back: its queue should have been stopped before */
};

EVENT(net, "A network device's driver could not send") {
	char device[16] KIND("str") DOC("network device");
	u32 netns KIND("netns") HIDE DOC("its network namespace");
	u32 queue DOC("its queue for sending");
	enum net_trouble trouble DOC("timeout: sent nothing for seconds, is reset now; busy: had no room");
};

/* --- queues --- */

struct queue_labels {
	char device[16] KIND("str") DOC("network device");
	u32 netns KIND("netns") HIDE DOC("its network namespace");
	u32 queue DOC("number of its queue; for receiving and for sending they count apart");
};
struct queue_values {
	u64 rx_packets COUNTER DOC("packets that the device brought");
	u64 rx_bytes COUNTER UNIT("bytes") DOC("with their link headers");
	u64 tx_packets COUNTER DOC("packets that the driver took");
	u64 tx_bytes COUNTER UNIT("bytes") DOC("with their link headers");
	u64 tx_busy COUNTER DOC("packets that the driver gave back; they are tried again");
	u64 tx_dropped COUNTER DOC("packets that the driver or the device's queue refused");
	u64 tx_stops COUNTER DOC("packets after which the queue was full and stopped");
	u64 timeouts COUNTER DOC("times that it sent nothing for seconds and was reset");
};
METRICS_PERCPU(queues, struct queue_labels, struct queue_values, 1024, "Packets by device and queue");

static __always_inline struct queue_values *queue_row(const struct net_device *dev, u32 queue)
{
	struct queue_labels key = {};

	if (label(queues, 0))
		bpf_probe_read_kernel(key.device, sizeof(key.device), dev->name);
	if (label(queues, 1))
		key.netns = netdev_netns(dev);
	if (label(queues, 2))
		key.queue = queue;
	return row_of(queues, &key);
}

/* The packet that this CPU's driver is being given: once it has it, it may not be looked at any more. */
struct sending {
	u64 skb;
	u32 queue;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sending);
} sending SEC(".maps");

static __noinline int tell_trouble(void *ctx, const struct net_device *dev, u32 queue, u32 trouble)
{
	struct net *e = events_wanted() ? event_new(net) : NULL;

	if (!e)
		return 0;
	bpf_probe_read_kernel(e->device, sizeof(e->device), dev->name);
	e->netns = netdev_netns(dev);
	e->queue = queue;
	e->trouble = trouble;
	event_send(ctx, e);
	return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(send_begins, const struct sk_buff *skb, const struct net_device *dev)
{
	u32 zero = 0;
	struct sending *now = bpf_map_lookup_elem(&sending, &zero);

	if (now) {
		now->skb = (u64)skb;
		now->queue = skb->queue_mapping;
	}
	return 0;
}

SEC("tp_btf/net_dev_xmit")
int BPF_PROG(send_ends, struct sk_buff *skb, int result, struct net_device *dev, unsigned int bytes)
{
	u32 zero = 0, queue = 0;
	struct sending *now = bpf_map_lookup_elem(&sending, &zero);
	struct queue_values *row;

	/* a tunnel's driver gives the packet to another's meanwhile; it has one queue */
	if (now && now->skb == (u64)skb)
		queue = now->queue;
	if (result == NETDEV_TX_BUSY)
		tell_trouble(ctx, dev, queue, NET_BUSY);
	row = tables_wanted() ? queue_row(dev, queue) : NULL;
	if (!row)
		return 0;
	if (result == NETDEV_TX_OK) {
		add(row->tx_packets, 1);
		add(row->tx_bytes, bytes);
	} else if (result == NETDEV_TX_BUSY) {
		add(row->tx_busy, 1);
	} else {
		add(row->tx_dropped, 1);
	}
	if (netdev_queue_stopped(dev, queue))
		add(row->tx_stops, 1);
	return 0;
}

SEC("tp_btf/net_dev_xmit_timeout")
int BPF_PROG(send_times_out, struct net_device *dev, int queue)
{
	struct queue_values *row = tables_wanted() ? queue_row(dev, queue) : NULL;

	if (row)
		add(row->timeouts, 1);
	return tell_trouble(ctx, dev, queue, NET_TIMEOUT);
}

SEC("tp_btf/netif_receive_skb") int BPF_PROG(received, struct sk_buff *skb)
{
	struct queue_values *row;

	if (!tables_wanted())
		return 0;
	row = queue_row(skb->dev, skb_rx_queue(skb));
	if (!row)
		return 0;
	add(row->rx_packets, 1);
	add(row->rx_bytes, skb_rx_bytes(skb));
	return 0;
}

/* --- polls --- */

struct poll_labels {
	char device[16] KIND("str") DOC("network device; empty: the CPU's own queue, for loopback and the like");
	u32 netns KIND("netns") HIDE DOC("its network namespace");
	u32 napi HIDE DOC("what is polled: one or two for each queue, as `ip` and ethtool number them");
};
struct poll_values {
	u64 packets COUNTER DOC("packets found");
	u64 polls COUNTER DOC("times that somebody looked");
	u64 exhausted COUNTER DOC("of them those that had to end with packets left: the budget was used up");
	u64 empty COUNTER DOC("of them those that found none");
	HIST_LOG2(batch, 8, DOC("packets found at a time"));
};
METRICS_PERCPU(polls, struct poll_labels, struct poll_values, 1024, "NAPI polls by device");

SEC("tp_btf/napi_poll") int BPF_PROG(polled, struct napi_struct *napi, int work, int budget)
{
	struct poll_labels key = {};
	struct poll_values *row;
	struct net_device *dev = napi->dev;

	if (!tables_wanted() || budget <= 0)
		return 0;
	if (label(polls, 0) && dev)
		bpf_probe_read_kernel(key.device, sizeof(key.device), dev->name);
	if (label(polls, 1) && dev)
		key.netns = netdev_netns(dev);
	if (label(polls, 2))
		key.napi = napi->napi_id;
	row = row_of(polls, &key);
	if (!row)
		return 0;
	add(row->packets, work);
	add(row->polls, 1);
	if (work >= budget)
		add(row->exhausted, 1);
	if (!work)
		add(row->empty, 1);
	observe(row->batch, work);
	return 0;
}

/* --- CPUs --- */

struct cpu_labels {
	u32 cpu DOC("where");
};
struct cpu_values {
	u64 softirqs COUNTER DOC("rounds of receiving");
	u64 squeezed COUNTER DOC("of them those that ran out of time or of net.core.netdev_budget");
	u64 dropped COUNTER DOC("packets dropped because net.core.netdev_max_backlog were waiting");
};
METRICS(cpus, struct cpu_labels, struct cpu_values, 1024, "Rounds of receiving by CPU");

/* What this CPU's counters said at the end of its last round. */
struct softnet_seen {
	u32 squeezed;
	u32 dropped;
	bool known;
	u8 pad[7];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct softnet_seen);
} softnet_seen SEC(".maps");

#define SOFTIRQ_NET_RX 3

OPTIONAL("rounds of receiving that ran out of time")
NEED("config KALLSYMS_ALL") /* without it softnet_data has no address */
NEED("helper bpf_ktime_get_coarse_ns") /* of 5.11: 5.10 doesn't take it */
SEC("?tp_btf/softirq_exit") int BPF_PROG(round_ends, unsigned int vector)
{
	u32 zero = 0;
	const struct softnet_data *softnet = bpf_this_cpu_ptr(&softnet_data);
	struct softnet_seen *seen = bpf_map_lookup_elem(&softnet_seen, &zero), last;
	struct cpu_labels key = {};
	struct cpu_values *row;

	if (vector != SOFTIRQ_NET_RX || !tables_wanted() || !seen)
		return 0;
	last = *seen;
	seen->squeezed = softnet->time_squeeze;
	seen->dropped = softnet_dropped(softnet);
	seen->known = true;
	if (label(cpus, 0))
		key.cpu = bpf_get_smp_processor_id();
	row = row_of(cpus, &key);
	if (!row)
		return 0;
	add(row->softirqs, 1);
	if (last.known) {
		add(row->squeezed, seen->squeezed - last.squeezed);
		add(row->dropped, seen->dropped - last.dropped);
	}
	return 0;
}
