/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * UDP by process, port and peer: datagrams and bytes each way, what found no room in a receive buffer,
 * errors, and how soon answers come. Who sends first on a socket is the client there.
 *
 * Datagrams of the kernel's own (WireGuard, VXLAN) don't pass here.
 */
#include "sonda.bpf.h"

#include "kernel/skb.h"
#include "kernel/sock.h"
#include "sonda/cause.h"
#include "sonda/sockets.h"

/* clang-format off */
PROBE(udp, "net", "UDP datagrams sent, received and dropped, by process, port and peer");
FILTERS("task errors");

enum udp_step { UDP_STEP_DROP, UDP_STEP_SEND, UDP_STEP_ERROR };
enum udp_side { UDP_SIDE_UNKNOWN, UDP_SIDE_CLIENT, UDP_SIDE_SERVER };

EVENT(udp, "A datagram that was dropped or could not be sent, or an error that came back") {
	struct task task; /* who has used the socket */
	enum udp_step step DOC("drop: received, but there was no room; send: it failed; "
			       "error: ICMP came for what was sent");
	struct ip local HIDE DOC("address of the socket");
	u16 local_port KIND("port") DOC("port of the socket");
	u16 peer_port KIND("port") DOC("port of the other end; 0: not known");
	struct ip peer DOC("address of the other end");
	s32 err KIND("errno") DOC("ENOMEM: the receive buffer was full; ENOBUFS: too much waits everywhere");
	u32 buffered_bytes KIND("bytes") HIDE DOC("waiting in the receive buffer, with overhead");
	u32 buffer_bytes KIND("bytes") HIDE DOC("size of the receive buffer");
	u32 netns KIND("netns") HIDE DOC("network namespace of the socket");
};

struct udp_labels {
	char comm[16] KIND("comm");
	enum udp_side side DOC("who sends first is the client");
	u32 port KIND("port") DOC("the server's port");
	struct ip peer HIDE DOC("address of the other end");
};
struct udp_values {
	u64 sent_bytes COUNTER UNIT("bytes") DOC("payload sent");
	u64 received_bytes COUNTER UNIT("bytes") DOC("payload read");
	u64 sends COUNTER DOC("datagrams sent; with segmentation offload, calls that sent some");
	u64 reads COUNTER DOC("datagrams read");
	u64 drops COUNTER DOC("received datagrams for which there was no room");
	u64 errors COUNTER DOC("sends that failed, ICMP errors");
	HIST_LOG2(answer_ns, 38, UNIT("ns") DOC("client: from the last send to the next read; "
						"server: from the last read to the next send"));
};
METRICS(udp, struct udp_labels, struct udp_values, 2048, "UDP datagrams");
/* clang-format on */

/* What is known of a socket; an address used again is told by its process and port. */
struct user {
	struct cause cause;
	u64 asked_ns; /* when it was last asked for something, or asked; 0: answered */
	u32 pid;
	u32 local_port;
	enum udp_side side;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64); /* struct sock */
	__type(value, struct user);
} users SEC(".maps");

/* The other end of one datagram. */
struct peer {
	struct ip ip;
	u32 port;
};

/* What a system call has been told, or tells, on its way to the hook that counts: a place by thread. */
#define NAMED_BITS 12
struct name {
	u32 tid; /* whose it is; 0: nobody's */
	struct peer peer;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << NAMED_BITS);
	__type(key, u32);
	__type(value, struct name);
} names SEC(".maps");

static __always_inline struct name *name_place(u32 tid)
{
	u32 place = tid & ((1 << NAMED_BITS) - 1);

	return bpf_map_lookup_elem(&names, &place);
}

static __noinline struct user *user_new(const struct sock *sk, enum udp_side side)
{
	struct user none = {}, *user;
	u64 key = (u64)sk;

	none.pid = bpf_get_current_pid_tgid() >> 32;
	none.local_port = sock_local_port(sk);
	none.side = side;
	bpf_map_update_elem(&users, &key, &none, BPF_ANY);
	user = bpf_map_lookup_elem(&users, &key);
	if (user)
		cause_now(&user->cause);
	return user;
}

/* The current process uses the socket. */
static __always_inline struct user *user_of(const struct sock *sk, bool is_send)
{
	enum udp_side side = is_send ? UDP_SIDE_CLIENT : UDP_SIDE_SERVER;
	struct user *user;
	u64 key = (u64)sk;

	user = bpf_map_lookup_elem(&users, &key);
	if (!user || user->pid != bpf_get_current_pid_tgid() >> 32 ||
	    user->local_port != sock_local_port(sk))
		return user_new(sk, side);
	if (user->side == UDP_SIDE_UNKNOWN)
		user->side = side;
	return user;
}

/* Are addresses told, or only counted by port? Of IPv6 they say, besides, who counts. */
static __always_inline bool addresses_wanted(const struct sock *sk)
{
	return label(udp, 3) || events_wanted() ||
	       sock_read(sock, sk, __sk_common.skc_family) != AF_INET;
}

static __always_inline void peer_of_socket(struct peer *peer, const struct sock *sk)
{
	struct ip local = {};

	peer->port = sock_peer_port(sk);
	if (!peer->port)
		return;
	if (addresses_wanted(sk))
		sock_addresses(sk, &local, &peer->ip);
	else
		peer->ip.family = AF_INET;
}

static __noinline struct udp_values *values_of(const struct user *user, const struct peer *peer)
{
	struct udp_labels key = {};

	if (!user || !peer)
		return NULL;
	if (label(udp, 0))
		__builtin_memcpy(key.comm, user->cause.task.comm, sizeof(key.comm));
	if (label(udp, 1))
		key.side = user->side;
	if (label(udp, 2))
		key.port = user->side == UDP_SIDE_CLIENT ? peer->port : user->local_port;
	if (label(udp, 3))
		key.peer = peer->ip;
	return row_of(udp, &key);
}

static __noinline int tell(void *ctx, const struct sock *sk, const struct user *user,
			   const struct peer *peer, int err_and_step)
{
	struct ip other;
	struct udp *e;

	if (!user || !peer)
		return 0;
	e = event_new(udp);
	if (!e)
		return 0;
	e->task = user->cause.task;
	e->step = err_and_step & 3;
	e->err = -(err_and_step >> 2);
	sock_addresses(sk, &e->local, &other);
	e->local_port = sock_local_port(sk);
	e->peer = peer->ip;
	e->peer_port = peer->port;
	e->buffered_bytes = sock_read(sock, sk, sk_backlog.rmem_alloc.counter);
	e->buffer_bytes = sock_read(sock, sk, sk_rcvbuf);
	e->netns = sock_netns(sk);
	event_send(ctx, e);
	return 0;
}

/* `err`: negative. Five arguments are all that a BPF function takes. */
static __always_inline int trouble(void *ctx, const struct sock *sk, const struct user *user,
				   const struct peer *peer, enum udp_step step, int err)
{
	struct udp_values *row;

	if (!cause_wanted(&user->cause))
		return 0;
	row = tables_wanted() ? values_of(user, peer) : NULL;
	if (row && step == UDP_STEP_DROP)
		add(row->drops, 1);
	else if (row)
		add(row->errors, 1);
	return events_wanted() ? tell(ctx, sk, user, peer, -err << 2 | step) : 0;
}

/* ---- datagrams ---- */

static __always_inline void count_datagram(struct user *user, const struct peer *peer, bool is_send,
					   u64 size_bytes)
{
	u64 now = bpf_ktime_get_ns(), asked_ns = user->asked_ns;
	bool asks = is_send == (user->side == UDP_SIDE_CLIENT);
	struct udp_values *row = values_of(user, peer);

	user->asked_ns = asks ? now : 0;
	if (!row)
		return;
	if (is_send) {
		add(row->sends, 1);
		add(row->sent_bytes, size_bytes);
	} else {
		add(row->reads, 1);
		add(row->received_bytes, size_bytes);
	}
	if (!asks && asked_ns)
		observe(row->answer_ns, now - asked_ns);
}

/* The current process has sent (read) a datagram of so many bytes, or has failed to. */
static __noinline int datagram(void *ctx, const struct sock *sk, const struct peer *peer, long got,
			       bool is_send)
{
	struct user *user;

	if (!peer || (got < 0 && !is_send))
		return 0;
	user = user_of(sk, is_send); /* for the sake of its drops, too */
	if (!user)
		return 0;
	if (got < 0)
		return got == -EAGAIN ? 0 : trouble(ctx, sk, user, peer, UDP_STEP_SEND, got);
	if (tables_wanted() && wanted())
		count_datagram(user, peer, is_send, got);
	return 0;
}

/* clang-format off */
struct msghdr___udp {
	void *msg_name;
} __attribute__((preserve_access_index));

/* Where msghdr::msg_name says so, else where the socket is connected to. */
static __noinline int peer_of_message(struct peer *peer, const struct sock *sk, const struct msghdr___udp *message)
{
	struct sockaddr_any to = {};
	void *name = BPF_CORE_READ(message, msg_name);

	if (!peer)
		return 0;
	if (!name) {
		peer_of_socket(peer, sk);
		return 0;
	}
	bpf_probe_read_kernel(&to, sizeof(to), name);
	peer->port = bpf_ntohs(to.port);
	if (to.family == AF_INET6) {
		ip_from_v6(&peer->ip, to.v6);
	} else {
		peer->ip.family = AF_INET;
		__builtin_memcpy(peer->ip.bytes, &to.v4, 4);
	}
	return 0;
}

ALT(write, 1) SEC("?fexit/udp_sendmsg")
int BPF_PROG(sent4, const struct sock *sk, void *message, u64 size, int ret)
{
	struct peer peer = {};

	peer_of_message(&peer, sk, message);
	return datagram(ctx, sk, &peer, ret, true);
}

/* to an IPv4 address it has called udp_sendmsg() */
ALT(write, 1) SEC("?fexit/udpv6_sendmsg")
int BPF_PROG(sent6, const struct sock *sk, void *message, u64 size, int ret)
{
	struct peer peer = {};

	peer_of_message(&peer, sk, message);
	return peer.ip.family == AF_INET ? 0 : datagram(ctx, sk, &peer, ret, true);
}

/* With the names that the cgroup hooks of sendmsg and recvmsg have seen in the same call. */
static __noinline int datagram_named(void *ctx, const struct sock *sk, int ret, bool is_send)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct name *name = name_place(tid);
	struct peer peer = {};

	if (name && name->tid == tid) {
		peer = name->peer;
		name->tid = 0;
	} else {
		peer_of_socket(&peer, sk);
	}
	return datagram(ctx, sk, &peer, ret, is_send);
}

static __always_inline int name_seen(struct bpf_sock_addr *ctx, bool is_v6)
{
	u32 tid = bpf_get_current_pid_tgid(), words[4];
	struct name *name = name_place(tid);

	if (!name || ctx->protocol != IPPROTO_UDP)
		return 1;
	__builtin_memset(&name->peer, 0, sizeof(name->peer));
	name->peer.port = bpf_ntohs(ctx->user_port);
	if (is_v6) {
		words[0] = ctx->user_ip6[0];
		words[1] = ctx->user_ip6[1];
		words[2] = ctx->user_ip6[2];
		words[3] = ctx->user_ip6[3];
		ip_from_v6(&name->peer.ip, (u8 *)words);
	} else {
		name->peer.ip.family = AF_INET;
		words[0] = ctx->user_ip4;
		__builtin_memcpy(name->peer.ip.bytes, words, 4);
	}
	name->tid = tid;
	return 1;
}

ALT(write, 2) NEED("tp sock/sock_send_length") /* 6.4 */
SEC("?tp_btf/sock_send_length") int BPF_PROG(sent_length, const struct sock *sk, int ret)
{
	return sock_is_udp(sk) ? datagram_named(ctx, sk, ret, true) : 0;
}
ALT(write, 2) NEED("cgroup2") SEC("?cgroup/sendmsg4") int send_named4(struct bpf_sock_addr *ctx)
{
	return name_seen(ctx, false);
}
ALT(write, 2) NEED("cgroup2") SEC("?cgroup/sendmsg6") int send_named6(struct bpf_sock_addr *ctx)
{
	return name_seen(ctx, true);
}

ALT(read, 2) NEED("tp sock/sock_recv_length")
SEC("?tp_btf/sock_recv_length") int BPF_PROG(read_length, const struct sock *sk, int ret, int flags)
{
	return sock_is_udp(sk) && !(flags & MSG_PEEK) ? datagram_named(ctx, sk, ret, false) : 0;
}
ALT(read, 2) NEED("cgroup2") SEC("?cgroup/recvmsg4") int read_named4(struct bpf_sock_addr *ctx)
{
	return name_seen(ctx, false);
}
ALT(read, 2) NEED("cgroup2") SEC("?cgroup/recvmsg6") int read_named6(struct bpf_sock_addr *ctx)
{
	return name_seen(ctx, true);
}

/* without trampolines and these tracepoints: what is about to be sent */
static __noinline int about_to_send(void *ctx, const struct sock *sk, const void *message, u64 size, bool is_v6)
{
	struct peer peer = {};

	peer_of_message(&peer, sk, message);
	if (is_v6 && peer.ip.family == AF_INET)
		return 0;
	return datagram(ctx, sk, &peer, size, true);
}
ALT(write, 3) SEC("?kprobe/udp_sendmsg")
int BPF_KPROBE(sends4, const struct sock *sk, void *message, u64 size)
{
	return about_to_send(ctx, sk, message, size, false);
}
ALT(write, 3) SEC("?kprobe/udpv6_sendmsg")
int BPF_KPROBE(sends6, const struct sock *sk, void *message, u64 size)
{
	return about_to_send(ctx, sk, message, size, true);
}

/* Where a datagram is done with, after its bytes were copied: negative when it was only peeked at. */
static __noinline int consumed(void *ctx, const struct sock *sk, const struct sk_buff *skb, int size)
{
	struct skb_flow flow = {};
	struct peer peer = {};

	if (size < 0)
		return 0;
	if (!addresses_wanted(sk))
		peer_of_socket(&peer, sk);
	if (!peer.port) {
		skb_flow(skb, &flow);
		peer.ip = flow.ends.from;
		peer.port = flow.ends.from_port;
	}
	return datagram(ctx, sk, &peer, size, false);
}
ALT(read, 1) SEC("?fentry/skb_consume_udp")
int BPF_PROG(reads, const struct sock *sk, const struct sk_buff *skb, int size)
{
	return consumed(ctx, sk, skb, size);
}
ALT(read, 3) SEC("?kprobe/skb_consume_udp")
int BPF_KPROBE(reads_kprobe, const struct sock *sk, const struct sk_buff *skb, int size)
{
	return consumed(ctx, sk, skb, size);
}

/* ---- trouble ---- */

/* Of a socket that nobody has used since we are here, only the port is known. */
static __always_inline int trouble_of(void *ctx, const struct sock *sk, const struct peer *peer,
				      enum udp_step step, int err)
{
	struct user *user;
	u64 key = (u64)sk;

	user = bpf_map_lookup_elem(&users, &key);
	if (user && user->local_port == sock_local_port(sk))
		return trouble(ctx, sk, user, peer, step, err);
	user = user_new(sk, step == UDP_STEP_ERROR ? UDP_SIDE_CLIENT : UDP_SIDE_UNKNOWN);
	if (!user)
		return 0;
	__builtin_memset(&user->cause, 0, sizeof(user->cause));
	cause_unknown(&user->cause);
	user->pid = 0;
	return trouble(ctx, sk, user, peer, step, err);
}

/* the packet came in 6.10 (a0ad11fc2632) */
ALT(drop, 1) NEED("tpargs udp_fail_queue_rcv_skb 3")
SEC("?tp_btf/udp_fail_queue_rcv_skb")
int BPF_PROG(dropped, int err, const struct sock *sk, const struct sk_buff *skb)
{
	struct skb_flow flow = {};
	struct peer peer = {};

	skb_flow(skb, &flow);
	peer.ip = flow.ends.from;
	peer.port = flow.ends.from_port;
	return trouble_of(ctx, sk, &peer, UDP_STEP_DROP, err);
}

ALT(drop, 2) NEED("tpargs udp_fail_queue_rcv_skb 2")
SEC("?tp_btf/udp_fail_queue_rcv_skb") int BPF_PROG(dropped_69, int err, const struct sock *sk)
{
	struct peer peer = {};

	peer_of_socket(&peer, sk);
	return trouble_of(ctx, sk, &peer, UDP_STEP_DROP, err);
}

static __noinline int reported(void *ctx, const struct sock *sk)
{
	int err = sock_read(sock, sk, sk_err);
	struct peer peer = {};

	if (!err || !sock_is_udp(sk))
		return 0;
	peer_of_socket(&peer, sk);
	return trouble_of(ctx, sk, &peer, UDP_STEP_ERROR, -err);
}

#define ERROR(rank) ALT(error, rank) OPTIONAL("ICMP errors")
ERROR(1) NEED("tp sock/inet_sk_error_report") /* 5.14 */
SEC("?tp_btf/inet_sk_error_report") int BPF_PROG(error, const struct sock *sk)
{
	return reported(ctx, sk);
}
ERROR(2) SEC("?fentry/sock_def_error_report") int BPF_PROG(error_fentry, const struct sock *sk)
{
	return reported(ctx, sk);
}
ERROR(3) SEC("?kprobe/sock_def_error_report") int BPF_KPROBE(error_kprobe, const struct sock *sk)
{
	return reported(ctx, sk);
}

/* A socket that nobody reads is the one whose drops matter: its process is known from the start. */
AT_START SEC("iter/task_file") int there_already(struct bpf_iter__task_file *ctx)
{
	const struct sock *sk = iter_sock(ctx->file);
	struct task_struct *task = ctx->task;
	struct user user = {};
	u64 key = (u64)sk;

	if (!task || !sk || !sock_is_udp(sk))
		return 0;
	cause_of(&user.cause, task);
	user.pid = BPF_CORE_READ(task, tgid);
	user.local_port = sock_local_port(sk);
	bpf_map_update_elem(&users, &key, &user, BPF_NOEXIST);
	return 0;
}
/* clang-format on */
