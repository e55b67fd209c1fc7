/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * net.socket: sockets of all network namespaces with the process that holds them. They are found
 * through the descriptors of all processes; those that nobody holds (TIME_WAIT, orphans, connections
 * not yet accepted) through the table of TCP sockets, which is that of sonda's own namespace.
 */
#include "sonda.bpf.h"

#include "kernel/sock.h"
#include "sonda/iter.h"

PROBE(socket, "net", "Sockets, with the process that holds them");
FILTERS("task");

#define SOCKETS_MAX 131072
#define QUEUE_MAX   128 /* packets of a queue that are summed */

#define AF_UNIX        1
#define AF_NETLINK     16
#define AF_PACKET      17
#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_RAW       3
#define SOCK_SEQPACKET 5

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};
struct sk_buff___list {
	struct sk_buff___list *next;
	u32 len;
};
struct sk_buff_head {
	struct sk_buff___list *next;
	u32 qlen;
};
struct sock_common___list {
	u16 skc_num;
	volatile unsigned char skc_state;
};
struct sock___list {
	u16 sk_type;
	struct sk_buff_head sk_receive_queue;
	struct {
		struct {
			int counter;
		} rmem_alloc;
	} sk_backlog;
	struct {
		struct {
			int counter;
		} refs;
	} sk_wmem_alloc;
	int sk_wmem_queued;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	kuid_t sk_uid;
	struct socket *sk_socket;
};
struct tcp_sock___list {
	u32 rcv_nxt;
	u32 copied_seq;
	u32 write_seq;
	u32 snd_una;
	u32 rttvar_us;
	u32 snd_cwnd;
	u64 bytes_acked;
	u64 bytes_received;
};
struct socket___list {
	struct file *file;
};
struct unix_address {
	int len;
	struct sockaddr_un {
		u16 sun_family;
		char sun_path[108];
	} name[];
};
struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

#pragma clang attribute pop

enum sock_protocol {
	SOCK_PROTOCOL_OTHER,
	SOCK_PROTOCOL_TCP,
	SOCK_PROTOCOL_UDP,
	SOCK_PROTOCOL_UNIX_STREAM,
	SOCK_PROTOCOL_UNIX_DGRAM,
	SOCK_PROTOCOL_UNIX_SEQPACKET,
	SOCK_PROTOCOL_RAW,
	SOCK_PROTOCOL_PACKET,
	SOCK_PROTOCOL_NETLINK,
	SOCK_PROTOCOL_MPTCP,
	SOCK_PROTOCOL_SCTP,
	SOCK_PROTOCOL_ICMP,
};
/* Those of <linux/tcp_states.h>; what only TCP has reads as unconnected elsewhere. */
enum sock_state {
	SOCK_STATE_ESTABLISHED = 1,
	SOCK_STATE_SYN_SENT,
	SOCK_STATE_SYN_RECV,
	SOCK_STATE_FIN_WAIT1,
	SOCK_STATE_FIN_WAIT2,
	SOCK_STATE_TIME_WAIT,
	SOCK_STATE_CLOSE,
	SOCK_STATE_CLOSE_WAIT,
	SOCK_STATE_LAST_ACK,
	SOCK_STATE_LISTEN,
	SOCK_STATE_CLOSING,
	SOCK_STATE_NEW_SYN_RECV,
	SOCK_STATE_UNCONNECTED,
};

ROW(socket_row, "A socket")
{
	enum sock_protocol protocol DOC("protocol");
	enum sock_state state DOC("its state");
	u32 rx_bytes KIND("bytes") DOC("received and not read; listening: see backlog");
	u32 tx_bytes KIND("bytes") DOC("written and not acknowledged or sent");
	struct ip local KIND("ip") DOC("own address");
	struct ip peer KIND("ip") DOC("the other end's");
	u16 local_port KIND("port") DOC("own port");
	u16 peer_port KIND("port") DOC("the other end's");
	u32 pid KIND("pid") DOC("process that holds it, the first of them; 0: none");
	u32 fd HIDE DOC("its descriptor");
	u32 holders DOC("descriptors that hold it");
	u32 uid KIND("uid") HIDE DOC("user it was made by");
	u32 peer_pid KIND("pid") HIDE DOC("unix: process that holds the other end");
	u32 backlog HIDE DOC("listening: connections that wait to be accepted");
	u32 backlog_max HIDE DOC("listening: how many may wait");
	u32 rtt_us UNIT("us") KIND("duration") DOC("TCP: smoothed round-trip time");
	u32 rtt_var_us UNIT("us") KIND("duration") HIDE DOC("TCP: its variation");
	u32 min_rtt_us UNIT("us") KIND("duration") HIDE DOC("TCP: least round-trip time of late");
	u32 cwnd HIDE DOC("TCP: congestion window, in segments");
	u32 retransmits DOC("TCP: segments sent again");
	u64 sent_bytes KIND("bytes") HIDE DOC("TCP: sent and acknowledged");
	u64 received_bytes KIND("bytes") HIDE DOC("TCP: received");
	u64 inode KIND("inode") KEY HIDE DOC("inode of the socket");
	u32 netns KIND("netns") HIDE DOC("its network namespace");
	u32 pad HIDE;
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u64 start_ns KIND("boottime") HIDE DOC("when the process began");
	char comm[16] KIND("comm") DOC("command name of the process");
	char path[112] KIND("path") DOC("unix: its name; @ for an abstract one");
};

/* The first descriptor that holds the socket, and how many do. */
struct holder {
	u32 pid;
	u32 fd;
	u32 holders;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SOCKETS_MAX);
	__type(key, u64);
	__type(value, struct holder);
} holders SEC(".maps");

static __always_inline struct sock *sock_of_file(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket = BPF_CORE_READ(file, private_data);

	if (inode_type(inode) != FILE_TYPE_SOCKET ||
	    BPF_CORE_READ(inode, i_sb, s_magic) !=
		    0x534f434b /* not one that lies in a directory */)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

SEC("iter/task_file") int holders_add(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct holder first = {}, *known;
	u64 key;

	if (!task || !file || !wanted_task(task))
		return 0;
	key = (u64)sock_of_file(file);
	if (!key)
		return 0;
	known = bpf_map_lookup_elem(&holders, &key);
	if (known) {
		known->holders++;
		return 0;
	}
	first.pid = BPF_CORE_READ(task, tgid);
	first.fd = ctx->fd;
	first.holders = 1;
	if (bpf_map_update_elem(&holders, &key, &first, BPF_NOEXIST))
		count_lost(LOSS_STATE);
	return 0;
}

static __always_inline enum sock_protocol unix_protocol(u32 type)
{
	if (type == SOCK_SEQPACKET)
		return SOCK_PROTOCOL_UNIX_SEQPACKET;
	return type == SOCK_DGRAM ? SOCK_PROTOCOL_UNIX_DGRAM : SOCK_PROTOCOL_UNIX_STREAM;
}

static __always_inline enum sock_protocol inet_protocol(u32 protocol, u32 type)
{
	if (type == SOCK_RAW)
		return SOCK_PROTOCOL_RAW;
	switch (protocol) {
	case 6:
		return SOCK_PROTOCOL_TCP;
	case 17:
	case 136: /* UDP-Lite */
		return SOCK_PROTOCOL_UDP;
	case 1:
	case 58:
		return SOCK_PROTOCOL_ICMP;
	case 132:
		return SOCK_PROTOCOL_SCTP;
	case 262:
		return SOCK_PROTOCOL_MPTCP;
	}
	return SOCK_PROTOCOL_OTHER;
}

static __noinline enum sock_protocol protocol_of(struct sock *sk)
{
	u32 type = BPF_CORE_READ((struct sock___list *)sk, sk_type);

	switch (BPF_CORE_READ(sk, __sk_common.skc_family)) {
	case AF_INET:
	case AF_INET6:
		return inet_protocol(BPF_CORE_READ(sk, sk_protocol), type);
	case AF_UNIX:
		return unix_protocol(type);
	case AF_NETLINK:
		return SOCK_PROTOCOL_NETLINK;
	case AF_PACKET:
		return SOCK_PROTOCOL_PACKET;
	}
	return SOCK_PROTOCOL_OTHER;
}

/* Bytes in the queue of received packets. */
static __noinline u32 queue_bytes(struct sock *sk)
{
	struct sock___list *s = (void *)sk;
	const void *head = (void *)sk + bpf_core_field_offset(struct sock___list, sk_receive_queue);
	struct sk_buff___list *packet;
	u32 sum = 0;

	bpf_core_read(&packet, sizeof(packet), &s->sk_receive_queue.next);
	for (int i = 0; i < QUEUE_MAX; i++) {
		if (!packet || (const void *)packet == head)
			break;
		sum += BPF_CORE_READ(packet, len);
		bpf_core_read(&packet, sizeof(packet), &packet->next);
	}
	return sum;
}

static __noinline int tcp_fill(struct socket_row *row, struct sock *sk)
{
	struct tcp_sock___list *tcp = (void *)sk;
	struct sock___list *s = (void *)sk;

	if (!row)
		return 0;
	if (row->state == SOCK_STATE_LISTEN) {
		row->backlog = BPF_CORE_READ(s, sk_ack_backlog);
		row->backlog_max = BPF_CORE_READ(s, sk_max_ack_backlog);
		return 0;
	}
	row->rx_bytes = BPF_CORE_READ(tcp, rcv_nxt) - BPF_CORE_READ(tcp, copied_seq);
	if ((s32)row->rx_bytes < 0)
		row->rx_bytes = 0;
	row->tx_bytes = BPF_CORE_READ(tcp, write_seq) - BPF_CORE_READ(tcp, snd_una);
	if (row->state == SOCK_STATE_CLOSE)
		return 0;
	row->rtt_us = tcp_rtt_us(sk);
	row->rtt_var_us = BPF_CORE_READ(tcp, rttvar_us) >> 2;
	row->min_rtt_us = tcp_min_rtt_us(sk);
	row->cwnd = BPF_CORE_READ(tcp, snd_cwnd);
	row->retransmits = tcp_retransmits(sk);
	row->sent_bytes = BPF_CORE_READ(tcp, bytes_acked);
	row->received_bytes = BPF_CORE_READ(tcp, bytes_received);
	return 0;
}

static __noinline int unix_fill(struct socket_row *row, struct sock *sk)
{
	struct unix_sock *un = (void *)sk;
	struct unix_address *addr = BPF_CORE_READ(un, addr);
	u64 peer = (u64)BPF_CORE_READ(un, peer);
	struct holder *holder = bpf_map_lookup_elem(&holders, &peer);
	u32 len;

	if (!row)
		return 0;
	if (holder)
		row->peer_pid = holder->pid;
	row->rx_bytes = queue_bytes(sk);
	if (row->state == SOCK_STATE_LISTEN) {
		row->rx_bytes = 0;
		row->backlog = BPF_CORE_READ((struct sock___list *)sk, sk_receive_queue.qlen);
		row->backlog_max = BPF_CORE_READ((struct sock___list *)sk, sk_max_ack_backlog);
	}
	if (!addr)
		return 0;
	len = BPF_CORE_READ(addr, len) - 2; /* without the family */
	if (len > 108)
		return 0;
	barrier_var(len);
	len &= 127;
	if (len > 108)
		return 0;
	bpf_probe_read_kernel(row->path, len,
			      (void *)addr + bpf_core_field_offset(struct unix_address, name) + 2);
	if (len && !row->path[0])
		row->path[0] = '@';
	return 0;
}

/* What datagram sockets hold; the kernel keeps one reference of its own. */
static __noinline int datagram_fill(struct socket_row *row, struct sock *sk)
{
	struct sock___list *s = (void *)sk;

	if (!row)
		return 0;
	row->rx_bytes = BPF_CORE_READ(s, sk_backlog.rmem_alloc.counter);
	row->tx_bytes = BPF_CORE_READ(s, sk_wmem_alloc.refs.counter) - 1;
	return 0;
}

/* What every socket has, those too that are no more than a note (TIME_WAIT). */
static __noinline int common_fill(struct socket_row *row, struct sock *sk)
{
	struct sock_common___list *common = (void *)sk;
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (!row)
		return 0;
	row->state = BPF_CORE_READ(common, skc_state);
	row->netns = sock_netns(sk);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	sock_addresses(sk, &row->local, &row->peer);
	row->local_port = BPF_CORE_READ(common, skc_num);
	row->peer_port = sock_peer_port(sk);
	return 0;
}

static __noinline int sock_fill(struct socket_row *row, struct sock *sk)
{
	if (!row)
		return 0;
	common_fill(row, sk);
	row->protocol = protocol_of(sk);
	row->uid = BPF_CORE_READ((struct sock___list *)sk, sk_uid.val);
	if (row->protocol == SOCK_PROTOCOL_TCP)
		return tcp_fill(row, sk);
	if (row->state == SOCK_STATE_CLOSE)
		row->state = SOCK_STATE_UNCONNECTED;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX)
		return unix_fill(row, sk);
	return datagram_fill(row, sk);
}

SEC("iter/task_file")
ROWS(socket_row)
int sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct holder *holder;
	struct socket_row *row;
	struct sock *sk;
	u64 key;

	if (!task || !file || !wanted_task(task))
		return 0;
	sk = sock_of_file(file);
	if (!sk)
		return 0;
	key = (u64)sk;
	holder = bpf_map_lookup_elem(&holders, &key);
	if (holder && (holder->pid != BPF_CORE_READ(task, tgid) || holder->fd != ctx->fd))
		return 0;
	row = event_new(socket_row);
	if (!row)
		return 0;
	sock_fill(row, sk);
	row->pid = BPF_CORE_READ(task, tgid);
	row->fd = ctx->fd;
	row->holders = holder ? holder->holders : 1;
	row->inode = BPF_CORE_READ(file, f_inode, i_ino);
	row->cgroup = task_cgroup_id(task);
	row->start_ns = task_start_ns(task);
	BPF_CORE_READ_STR_INTO(&row->comm, task, comm);
	row_send(ctx->meta->seq, row);
	return 0;
}

/* What no process holds; where somebody's sockets are asked for, these are nobody's. */
OPTIONAL("TCP sockets that no process holds (TIME_WAIT and the like)")
SEC("?iter/tcp")
ROWS(socket_row)
int orphans(struct bpf_iter__tcp *ctx)
{
	struct sock *sk = (struct sock *)ctx->sk_common;
	struct socket_row *row;
	u64 key = (u64)sk;
	u32 state;

	if (!sk || sonda_conf.sets_on || bpf_map_lookup_elem(&holders, &key))
		return 0;
	row = event_new(socket_row);
	if (!row)
		return 0;
	state = BPF_CORE_READ((struct sock_common___list *)sk, skc_state);
	if (state == SOCK_STATE_TIME_WAIT || state == SOCK_STATE_NEW_SYN_RECV)
		common_fill(row, sk);
	else
		sock_fill(row, sk);
	row->protocol = SOCK_PROTOCOL_TCP;
	row_send(ctx->meta->seq, row);
	return 0;
}
