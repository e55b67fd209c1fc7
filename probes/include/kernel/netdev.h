/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Network devices, their queues and what polls them: only the fields used. The accessors load from the
 * typed pointers that tp_btf programs are given.
 */
#pragma once

#include "kernel/direct.h"
#include "kernel/sock.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct netdev_queue {
	unsigned long state;
};
typedef struct {
	struct net___ns *net;
} possible_net_t;
struct net_device {
	char name[16];
	int ifindex;
	struct netdev_queue *_tx;
	possible_net_t nd_net;
};
struct napi_struct {
	struct net_device *dev;
	unsigned int napi_id;
};

typedef struct {
	int counter;
} atomic_t___netdev;
struct softnet_data {
	unsigned int time_squeeze;
	unsigned int dropped;
};
/* since 6.10 it is an atomic one, since 7.1 or so one of two, by NUMA node */
struct softnet_data___610 {
	atomic_t___netdev dropped;
};
struct numa_drop_counters {
	atomic_t___netdev drops0;
	atomic_t___netdev drops1;
};
struct softnet_data___71 {
	struct numa_drop_counters drop_counters;
};

#pragma clang attribute pop

/* This CPU's queue of received packets: what /proc/net/softnet_stat shows. */
extern const struct softnet_data softnet_data __ksym __weak;

enum { NETDEV_TX_OK = 0, NETDEV_TX_BUSY = 0x10 };

static __always_inline u32 softnet_dropped(const struct softnet_data *softnet)
{
	const struct softnet_data___71 *two = (const void *)softnet;

	if (bpf_core_field_exists(two->drop_counters))
		return two->drop_counters.drops0.counter + two->drop_counters.drops1.counter;
	if (bpf_core_field_exists(softnet->dropped))
		return softnet->dropped;
	return ((const struct softnet_data___610 *)softnet)->dropped.counter;
}

/* The driver, or the limit on bytes queued, says: no more for now. */
#define QUEUE_STOPPED 3

static __always_inline u32 netdev_netns(const struct net_device *dev)
{
	return dev->nd_net.net->ns.inum;
}

static __always_inline bool netdev_queue_stopped(const struct net_device *dev, u32 queue)
{
	void *first = DIRECT ? dev->_tx : BPF_CORE_READ(dev, _tx);
	struct netdev_queue *q = first + queue * bpf_core_type_size(struct netdev_queue);

	if (DIRECT)
		return direct(struct netdev_queue, q)->state & QUEUE_STOPPED;
	return BPF_CORE_READ(q, state) & QUEUE_STOPPED;
}
