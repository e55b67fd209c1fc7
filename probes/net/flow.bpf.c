/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * net.flow: bytes and packets by process, peer and service, counted at the sockets of this machine: in
 * every network namespace, also over loopback. What is only forwarded belongs to no socket and is not
 * in it. There is no stream of events.
 *
 * Packets don't say whose they are: the process is the one that had the socket when the probe began,
 * that made it, or that last sent by it. Until one of these is known, the process is 0, which no filter
 * wants. Filters are asked when that is learnt, not at each packet.
 */
#include "sonda.bpf.h"

#include "sonda/packet.h"
#include "sonda/sockets.h"

PROBE(flow, "net", "Bytes and packets by process, peer and port");
FILTERS("task");

struct flow_labels {
	char comm[16] KIND("comm") DOC("command name of the process that has the socket");
	u32 protocol DOC("IP protocol: 6 TCP, 17 UDP");
	u32 port KIND("port") DOC("port of the service: the lower one of the two");
	struct ip peer DOC("address of the other end");
	u32 pid KIND("pid") HIDE DOC("process; 0: not known yet");
	u32 local_port KIND("port") HIDE DOC("port of this end");
	u32 peer_port KIND("port") HIDE DOC("port of the other end");
	u32 pad HIDE;
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the socket");
};
struct flow_values {
	u64 tx_bytes COUNTER UNIT("bytes") DOC("sent, with IP headers; also what was sent again");
	u64 rx_bytes COUNTER UNIT("bytes") DOC("received, with IP headers");
	u64 tx_packets COUNTER DOC("sent; segments that the device makes of a large one count each");
	u64 rx_packets COUNTER DOC("received; segments that the device has joined count each");
	u64 tx_payload_bytes COUNTER UNIT("bytes") DOC("sent, without IP, TCP and UDP headers");
	u64 rx_payload_bytes COUNTER UNIT("bytes") DOC("received, without headers");
};
METRICS_PERCPU(flows, struct flow_labels, struct flow_values, 8192, "Traffic by process and peer");

/* ---- whose a socket is ---- */

struct owner {
	u32 pid;
	char comm[16];
	u32 unwanted; /* by a filter, or sonda's own */
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64); /* address of the socket */
	__type(value, struct owner);
} owners SEC(".maps");

/* The address of a socket as a number, which the verifier lets nobody make of such a pointer. */
static __always_inline u64 socket_address(struct bpf_sock *sk)
{
	struct bpf_sock *volatile held = sk;
	u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), (void *)&held);
	return address;
}

static __always_inline void owner_is(u64 socket, struct task_struct *task, u64 flags)
{
	struct owner owner = {};

	owner.pid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&owner.comm, task, comm);
	owner.unwanted = owner.pid == sonda_conf.self ||
			 (sonda_conf.sets_on && !task_in_filters(task));
	bpf_map_update_elem(&owners, &socket, &owner, flags);
}

AT_START SEC("iter/task_file") int sockets_there(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sock *sk = iter_sock(ctx->file);

	if (task && sk)
		owner_is((u64)sk, task, BPF_NOEXIST);
	return 0;
}

OPTIONAL("the process of a socket that only receives, before it has sent")
NEED("cgroup2")
SEC("cgroup/sock_create")
int socket_made(struct bpf_sock *ctx)
{
	owner_is(socket_address(ctx), current_task(), BPF_ANY);
	return 1;
}

OPTIONAL("that a socket's process has closed it, until another has its place")
NEED("cgroup2")
SEC("cgroup/sock_release")
int socket_gone(struct bpf_sock *ctx)
{
	u64 socket = socket_address(ctx);

	bpf_map_delete_elem(&owners, &socket);
	return 1;
}

/* ---- packets ---- */

static __noinline int flow_counted(struct __sk_buff *skb, struct packet *p, struct owner *owner,
				   bool outbound)
{
	struct flow_labels key = {};
	struct flow_values *row;
	u16 here, there;
	u64 packets;

	if (!p || !owner)
		return 0;
	here = outbound ? p->source : p->dest;
	there = outbound ? p->dest : p->source;
	if (label(flows, 0))
		__builtin_memcpy(key.comm, owner->comm, sizeof(key.comm));
	if (label(flows, 1))
		key.protocol = p->protocol;
	if (label(flows, 2))
		key.port = here && here < there ? here : there;
	if (label(flows, 3))
		packet_address(skb, p->version, outbound, &key.peer);
	if (label(flows, 4))
		key.pid = owner->pid;
	if (label(flows, 5))
		key.local_port = here;
	if (label(flows, 6))
		key.peer_port = there;
	if (label(flows, 8))
		key.cgroup = bpf_skb_cgroup_id(skb);
	row = row_of(flows, &key);
	if (!row)
		return 0;
	packets = skb->gso_segs ?: 1;
	add(*(outbound ? &row->tx_bytes : &row->rx_bytes), skb->len);
	add(*(outbound ? &row->tx_packets : &row->rx_packets), packets);
	if (packet_payload(skb, p) && p->end >= p->payload)
		add(*(outbound ? &row->tx_payload_bytes : &row->rx_payload_bytes), p->end - p->payload);
	return 0;
}

static __always_inline int packet_seen(struct __sk_buff *skb, bool outbound)
{
	u64 socket = socket_address(skb->sk);
	struct owner now = { .unwanted = sonda_conf.sets_on }, *owner;
	struct packet p = {};

	if (!tables_wanted() || !packet_ports(skb, &p))
		return 0;
	if (outbound && socket && sock_is_owned((const struct sock *)socket))
		owner_is(socket, current_task(), BPF_ANY);
	owner = bpf_map_lookup_elem(&owners, &socket);
	if (owner)
		now = *owner;
	return now.unwanted ? 0 : flow_counted(skb, &p, &now, outbound);
}

NEED("cgroup2") SEC("cgroup_skb/egress") int sent(struct __sk_buff *skb)
{
	packet_seen(skb, true);
	return 1;
}

NEED("cgroup2") SEC("cgroup_skb/ingress") int received(struct __sk_buff *skb)
{
	packet_seen(skb, false);
	return 1;
}
