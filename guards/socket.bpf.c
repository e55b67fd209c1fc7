/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The guard of sockets: refuses, or only tells, what rules say about who connects, sends, binds and
 * listens where, and makes which sockets.
 *
 * The hooks of the root cgroup decide what a process asks for, before it is done. Where a packet goes
 * that they have not seen asked for (raw sockets, protocols without such hooks, sockets connected before
 * the policy came into force, an address that another program wrote over) is decided by the packet.
 */
#define EVENT_MAX 8960
#include "guard.h"

#include "kernel/sock.h"

#include "ladder.h"
#include "socket.h"

PROBE(socket, "guard", "Rules about who connects, sends, binds and listens where",
      INTERNAL SLOTS(64));

enum { SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_RAW = 3 };
enum { PASS = 1, REFUSE = 0 }; /* of programs at a cgroup */

#define AF_SMC  43
#define CONTACT (SOCKET_DOING_CONNECT | SOCKET_DOING_SEND)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock___kernel {
	unsigned char sk_kern_sock : 1;
};
struct tcp_sock___mptcp {
	bool is_mptcp;
};

#pragma clang attribute pop

/* ---- what a socket was judged for ---- */

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_mark);
} socket_marks SEC(".maps");

static __always_inline bool mark_fits(const struct socket_mark *mark, const struct socket_asked *a)
{
	return mark && mark->serial == a->serial && mark->port == a->port &&
	       mark->address[0] == a->address[0] && mark->address[1] == a->address[1] &&
	       mark->address[2] == a->address[2] && mark->address[3] == a->address[3];
}

static __always_inline void mark_set(struct socket_mark *mark, const struct socket_asked *a,
				     u32 flags)
{
	if (!mark)
		return;
	__builtin_memcpy(mark->address, a->address, sizeof(mark->address));
	mark->port = a->port;
	mark->flags = flags;
	mark->serial = a->serial;
}

/* ---- connect and send ---- */

/* The address of a socket as a number, which the verifier lets nobody make of such a pointer. */
static __always_inline void *socket_address(struct bpf_sock *sk)
{
	struct bpf_sock *volatile held = sk;
	void *address = NULL;

	bpf_probe_read_kernel(&address, sizeof(address), (void *)&held);
	return address;
}

/* A worker of the kernel opens a further path of an MPTCP connection: whose it is isn't known. */
static __always_inline bool is_subflow(struct bpf_sock *sk)
{
	const struct tcp_sock___mptcp *tcp = socket_address(sk);

	return bpf_core_field_exists(tcp->is_mptcp) &&
	       BPF_CORE_READ_BITFIELD_PROBED(tcp, is_mptcp) &&
	       BPF_CORE_READ(current_task(), flags) & PF_KTHREAD;
}

/* To no address is to this machine. */
static __always_inline void address_settle(struct socket_asked *a)
{
	bool none;

	address_unmap(a);
	none = address_is_none(a);
	if (none && a->family == 4)
		a->address[0] = bpf_htonl(0x7f000001);
	else if (none)
		a->address[3] = bpf_htonl(1);
}

static __always_inline int contact(struct bpf_sock_addr *ctx, struct socket_asked *a)
{
	struct bpf_sock *sk = ctx->sk;

	a->port = bpf_ntohs(ctx->user_port);
	a->protocol = ctx->protocol;
	a->strength = SOCKET_STRENGTH_CGROUP;
	address_settle(a);
	if (sk && a->protocol == IPPROTO_TCP)
		a->any_subject = is_subflow(sk);
	if (use_judge(a))
		return REFUSE;
	if (sk)
		mark_set(bpf_sk_storage_get(&socket_marks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE),
			 a, 0);
	return PASS;
}

static __always_inline u32 connect_operations(struct bpf_sock_addr *ctx)
{
	return ctx->type == SOCK_STREAM ? SOCKET_DOING_CONNECT : CONTACT;
}

static __always_inline int contact4(struct bpf_sock_addr *ctx, u32 operations)
{
	struct socket_asked a = { .operations = operations, .family = 4 };

	if (!use_begin(&a))
		return PASS;
	a.address[0] = ctx->user_ip4;
	return contact(ctx, &a);
}

static __always_inline int contact6(struct bpf_sock_addr *ctx, u32 operations)
{
	struct socket_asked a = { .operations = operations, .family = 6 };

	if (!use_begin(&a))
		return PASS;
	a.address[0] = ctx->user_ip6[0];
	a.address[1] = ctx->user_ip6[1];
	a.address[2] = ctx->user_ip6[2];
	a.address[3] = ctx->user_ip6[3];
	return contact(ctx, &a);
}

NEED("cgroup2") SEC("cgroup/connect4") int connects4(struct bpf_sock_addr *ctx)
{
	return contact4(ctx, connect_operations(ctx));
}

NEED("cgroup2") SEC("cgroup/connect6") int connects6(struct bpf_sock_addr *ctx)
{
	return contact6(ctx, connect_operations(ctx));
}

NEED("cgroup2") SEC("cgroup/sendmsg4") int sends4(struct bpf_sock_addr *ctx)
{
	return contact4(ctx, SOCKET_DOING_SEND);
}

NEED("cgroup2") SEC("cgroup/sendmsg6") int sends6(struct bpf_sock_addr *ctx)
{
	return contact6(ctx, SOCKET_DOING_SEND);
}

/* ---- packets ---- */

#define EXTENSIONS 8

static __always_inline bool has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

/* The port that the packet goes to, its header being at `at`. One that can't be read may be any. */
static __noinline int packet_port(struct __sk_buff *skb, struct socket_asked *a, u32 at)
{
	u16 port;

	if (!a || !has_ports(a->protocol))
		return 0;
	if (bpf_skb_load_bytes(skb, at + 2, &port, sizeof(port)))
		a->any_port = true;
	else
		a->port = bpf_ntohs(port);
	return 0;
}

static __noinline int packet_read4(struct __sk_buff *skb, struct socket_asked *a)
{
	u8 head[20];

	if (!a || bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return -EINVAL;
	a->family = 4;
	a->protocol = head[9];
	__builtin_memcpy(a->address, head + 16, 4);
	if ((head[6] & 0x1f) | head[7])
		a->any_port = has_ports(a->protocol); /* not the first fragment */
	else
		packet_port(skb, a, (head[0] & 15) * 4);
	return 0;
}

/*
 * Behind the headers between IPv6 and what it carries, the first being a `first`: where, << 16, whether it is
 * of a later fragment, << 8, and its protocol; negative: nothing to be read. Global, and what it knows in
 * memory: verified once, and on 5.10 and 6.1 not for each value of each.
 */
__noinline int packet_behind(struct __sk_buff *skb, u32 first)
{
	volatile u8 protocol = first, later = 0;
	volatile u16 at = 40;
	u8 head[8];

	for (int i = 0; i < EXTENSIONS; i++) {
		if (!is_ipv6_extension(protocol))
			break;
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)))
			return -EINVAL;
		if (protocol == IPV6_FRAGMENT && (head[2] | (head[3] & 0xf8)))
			later = 1;
		at += protocol == IPV6_FRAGMENT ? 8 : (head[1] + 1) * 8;
		protocol = head[0];
	}
	return is_ipv6_extension(protocol) ? -EINVAL : at << 16 | later << 8 | protocol;
}

static __noinline int packet_read6(struct __sk_buff *skb, struct socket_asked *a)
{
	int behind = 40 << 16;
	u8 next;

	if (!a || bpf_skb_load_bytes(skb, 6, &next, sizeof(next)) ||
	    bpf_skb_load_bytes(skb, 24, a->address, sizeof(a->address)))
		return -EINVAL;
	behind |= next;
	if (is_ipv6_extension(next))
		behind = packet_behind(skb, next);
	if (behind < 0)
		return -EINVAL;
	a->family = 6;
	a->protocol = behind;
	a->any_port = behind >> 8 & 1;
	if (!a->any_port)
		packet_port(skb, a, behind >> 16);
	return 0;
}

/* Where the socket is connected to. */
static __always_inline void socket_read(const struct bpf_sock *sk, struct socket_asked *a)
{
	if (sk->family == AF_INET) {
		a->family = 4;
		a->address[0] = sk->dst_ip4;
	} else {
		a->family = 6;
		a->address[0] = sk->dst_ip6[0];
		a->address[1] = sk->dst_ip6[1];
		a->address[2] = sk->dst_ip6[2];
		a->address[3] = sk->dst_ip6[3];
		address_unmap(a);
	}
	a->port = bpf_ntohs((u16)sk->dst_port);
}

/* One that the kernel made for itself: what it answers, tunnels, its own connections. */
static __always_inline bool is_kernels(struct bpf_sock *sk)
{
	const struct sock___kernel *address = socket_address(sk);

	return BPF_CORE_READ_BITFIELD_PROBED(address, sk_kern_sock);
}

/* Is the current task who sends? Datagrams leave in the sender's own call; others also when a timer or a
 * packet wakes them, but not while a task holds the socket. */
static __always_inline bool is_senders(struct bpf_sock *sk)
{
	return sk->type == SOCK_DGRAM || sk->type == SOCK_RAW || sock_is_owned(socket_address(sk));
}

static __always_inline void packet_read(struct __sk_buff *skb, struct socket_asked *a)
{
	__builtin_memset(a->address, 0, sizeof(a->address));
	a->port = 0;
	if (skb->protocol == bpf_htons(ETH_P_IP) ? packet_read4(skb, a) : packet_read6(skb, a))
		a->any_address = a->any_port = a->any_protocol = true;
}

/* What the packet of a socket comes to by what was judged before; ASK: nothing was. */
enum { ASK = 2 };

static __always_inline int mark_says(const struct socket_mark *mark, const struct socket_asked *a)
{
	if (!mark_fits(mark, a))
		return ASK;
	return mark->flags & SOCKET_IS_REFUSED ? REFUSE : PASS;
}

#define IPV4_HEAD  20
#define IPV4_PLAIN 0x45 /* version and length of a header without options */
#define IPV6_HEAD  40

static __always_inline bool is_elsewhere6(struct bpf_sock *sk, const u32 *to)
{
	return to[0] != sk->dst_ip6[0] || to[1] != sk->dst_ip6[1] || to[2] != sk->dst_ip6[2] ||
	       to[3] != sk->dst_ip6[3];
}

/* Goes the packet of a connected socket by way of others, which its sender named (source routing)? Then it is the first
 * of them that it is sent to, and not where the socket is connected. What can't be read here may. */
static __always_inline bool is_routed(struct __sk_buff *skb, struct bpf_sock *sk)
{
	const u8 *head = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 connected = sk->dst_ip4;

	/* Or the compiler would choose among the socket's members, which the verifier forbids. */
	barrier_var(connected);
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (head + IPV4_HEAD > end)
			return true;
		return head[0] != IPV4_PLAIN && *(const u32 *)(head + 16) != connected;
	}
	if (head + IPV6_HEAD > end)
		return true;
	return is_ipv6_extension(head[6]) && is_elsewhere6(sk, (const u32 *)(head + 24));
}

/* A packet of a stream that goes by way of others. Who sends it isn't always to be seen: then it waits for one where it is. */
static __always_inline int routed_look(struct __sk_buff *skb, struct bpf_sock *sk,
				       struct socket_asked *a, const struct socket_mark *mark)
{
	int says;

	packet_read(skb, a);
	says = mark_says(mark, a);
	return says == ASK && !is_senders(sk) ? REFUSE : says;
}

/* A SYN, whose socket says where it goes. It was judged when connect(2) was called, unless that was before
 * the policy; what differs has been written over since. */
static __always_inline int stream_look(struct __sk_buff *skb, struct bpf_sock *sk,
				       struct socket_asked *a, const struct socket_mark *mark)
{
	a->operations = SOCKET_DOING_CONNECT;
	if (is_routed(skb, sk))
		return routed_look(skb, sk, a, mark);
	if (!mark || mark->serial != a->serial)
		return PASS;
	a->protocol = IPPROTO_TCP;
	socket_read(sk, a);
	return mark_says(mark, a);
}

/* Of an established one only what goes by way of others; a listener only answers. */
static __always_inline bool stream_asks(struct __sk_buff *skb, struct bpf_sock *sk)
{
	u32 state = sk->state;

	return state == BPF_TCP_SYN_SENT || (state != BPF_TCP_LISTEN && is_routed(skb, sk));
}

static __always_inline int datagram_look(struct __sk_buff *skb, struct bpf_sock *sk,
					 struct socket_asked *a, const struct socket_mark *mark)
{
	bool connected = sk->state == BPF_TCP_ESTABLISHED;
	int says = ASK;

	if (connected && !is_routed(skb, sk)) {
		socket_read(sk, a);
		says = mark_says(mark, a);
	}
	if (says != ASK)
		return says;
	packet_read(skb, a);
	says = mark_says(mark, a);
	if (says == ASK && (!is_senders(sk) || is_kernels(sk)))
		return PASS;
	if (!connected && sk->protocol == IPPROTO_UDP)
		a->operations = SOCKET_DOING_SEND;
	return says;
}

static __always_inline int raw_look(struct __sk_buff *skb, struct bpf_sock *sk,
				    struct socket_asked *a)
{
	if (is_kernels(sk))
		return PASS;
	packet_read(skb, a);
	return ASK;
}

static __always_inline bool is_stream(struct bpf_sock *sk)
{
	return sk->protocol == IPPROTO_TCP && sk->type == SOCK_STREAM;
}

/* Datagrams that are refused are asked about each time; for others it stays so until they go elsewhere. */
static __always_inline int packet_judge(struct bpf_sock *sk, const struct socket_asked *a)
{
	bool refused = is_refused_at(a, REQUEST_PACKET);

	if (sk->type != SOCK_RAW && (!refused || sk->type != SOCK_DGRAM))
		mark_set(bpf_sk_storage_get(&socket_marks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE),
			 a, refused ? SOCKET_IS_REFUSED : 0);
	return refused ? REFUSE : PASS;
}

NEED("cgroup2") SEC("cgroup_skb/egress") int leaves(struct __sk_buff *skb)
{
	struct socket_asked a = { .operations = CONTACT, .strength = SOCKET_STRENGTH_PACKET };
	struct bpf_sock *sk = skb->sk;
	struct socket_mark *mark;
	int says;

	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk || (is_stream(sk) && !stream_asks(skb, sk)))
		return PASS;
	if (!use_begin(&a))
		return PASS;
	mark = bpf_sk_storage_get(&socket_marks, sk, NULL, 0);
	if (is_stream(sk))
		says = stream_look(skb, sk, &a, mark);
	else if (sk->type == SOCK_RAW)
		says = raw_look(skb, sk, &a);
	else
		says = datagram_look(skb, sk, &a, mark);
	return says == ASK ? packet_judge(sk, &a) : says;
}

/* ---- bind ---- */

/* Every address of this machine is in every network. */
static __always_inline int address_bound(struct socket_asked *a)
{
	a->strength = SOCKET_STRENGTH_CGROUP;
	address_unmap(a);
	a->any_address = address_is_none(a);
	return is_refused_at(a, REQUEST_BIND) ? REFUSE : PASS;
}

/* The kernel wants to see that a program behind bind(2) returns one of two; the compiler may know it and not show it. */
static __always_inline int shown(int verdict)
{
	barrier_var(verdict);
	return verdict & 1;
}

/* Port 0 lets the kernel choose: what it chose is judged afterwards. */
static __always_inline int binds(struct bpf_sock_addr *ctx, struct socket_asked *a)
{
	struct bpf_sock *sk = ctx->sk;
	struct socket_mark *mark;

	a->port = bpf_ntohs(ctx->user_port);
	a->protocol = ctx->protocol;
	if (!a->port)
		return PASS;
	if (address_bound(a) == REFUSE)
		return REFUSE;
	mark = sk ? bpf_sk_storage_get(&socket_marks, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	if (mark)
		mark->bound = a->port;
	return PASS;
}

NEED("cgroup2") SEC("cgroup/bind4") int binds4(struct bpf_sock_addr *ctx)
{
	struct socket_asked a = { .operations = SOCKET_DOING_BIND, .family = 4 };

	if (!use_begin(&a))
		return PASS;
	a.address[0] = ctx->user_ip4;
	return binds(ctx, &a);
}

NEED("cgroup2") SEC("cgroup/bind6") int binds6(struct bpf_sock_addr *ctx)
{
	struct socket_asked a = { .operations = SOCKET_DOING_BIND, .family = 6 };

	if (!use_begin(&a))
		return PASS;
	a.address[0] = ctx->user_ip6[0];
	a.address[1] = ctx->user_ip6[1];
	a.address[2] = ctx->user_ip6[2];
	a.address[3] = ctx->user_ip6[3];
	return binds(ctx, &a);
}

static __always_inline int bound(struct bpf_sock *ctx, struct socket_asked *a)
{
	struct socket_mark *mark = bpf_sk_storage_get(&socket_marks, ctx, NULL, 0);

	a->port = ctx->src_port;
	a->protocol = ctx->protocol;
	if (mark && mark->bound == a->port)
		return PASS;
	return address_bound(a);
}

NEED("cgroup2") SEC("cgroup/post_bind4") int bound4(struct bpf_sock *ctx)
{
	struct socket_asked a = { .operations = SOCKET_DOING_BIND, .family = 4 };

	if (!use_begin(&a))
		return PASS;
	a.address[0] = ctx->src_ip4;
	return shown(bound(ctx, &a));
}

NEED("cgroup2") SEC("cgroup/post_bind6") int bound6(struct bpf_sock *ctx)
{
	struct socket_asked a = { .operations = SOCKET_DOING_BIND, .family = 6 };

	if (!use_begin(&a))
		return PASS;
	a.address[0] = ctx->src_ip6[0];
	a.address[1] = ctx->src_ip6[1];
	a.address[2] = ctx->src_ip6[2];
	a.address[3] = ctx->src_ip6[3];
	return shown(bound(ctx, &a));
}

/* ---- make a socket ---- */

static __always_inline bool makes(u32 operation, u8 protocol, u32 strength)
{
	struct socket_asked a = {
		.operations = 1u << operation,
		.protocol = protocol,
		.strength = strength,
	};

	return use_begin(&a) && use_judge(&a);
}

NEED("cgroup2") SEC("cgroup/sock_create") int creates(struct bpf_sock *ctx)
{
	if (ctx->type != SOCK_RAW)
		return PASS;
	return makes(SOCKET_RAW, ctx->protocol, SOCKET_STRENGTH_CGROUP) ? REFUSE : PASS;
}

/* enum socket_operation by address family; 0: none of them. */
#define FAMILIES_MAX 64
const volatile u8 family_operations[FAMILIES_MAX] = {
	[16] = SOCKET_NETLINK, [17] = SOCKET_PACKET, [21] = SOCKET_RDS,
	[29] = SOCKET_CAN,     [30] = SOCKET_TIPC,   [31] = SOCKET_BLUETOOTH,
	[38] = SOCKET_ALG,     [40] = SOCKET_VSOCK,  [44] = SOCKET_XDP,
};

static __always_inline int family_made(u32 family, int kern, u32 strength)
{
	u32 operation;

	if (family >= FAMILIES_MAX)
		return 0;
	barrier_var(family);
	operation = family_operations[family & (FAMILIES_MAX - 1)];
	return guard_says(operation && !kern && makes(operation & 31, 0, strength));
}

#define FAMILIES OPTIONAL("sockets other than those of IP")
#define LISTENS  OPTIONAL("listen")

/* clang-format off */
ALT(makes, 1) FAMILIES SEC("?lsm/socket_create")
int BPF_PROG(makes_lsm, int family, int type, int protocol, int kern)
{
	return family_made(family, kern, SOCKET_STRENGTH_LSM);
}

ALT(makes, 2) FAMILIES SEC("?fmod_ret/security_socket_create")
int BPF_PROG(makes_fmod, int family, int type, int protocol, int kern)
{
	return family_made(family, kern, SOCKET_STRENGTH_FMOD_RET);
}
/* clang-format on */

/* ---- listen ---- */

static __always_inline void listen_read(const struct sock *sk, bool is_ip6, struct socket_asked *a)
{
	if (is_ip6)
		BPF_CORE_READ_INTO((struct in6_addr *)a->address, sk, __sk_common.skc_v6_rcv_saddr);
	else
		BPF_CORE_READ_INTO(&a->address[0], sk, __sk_common.skc_rcv_saddr);
	a->family = is_ip6 ? 6 : 4;
	address_unmap(a);
	a->any_address = address_is_none(a);
	a->port = sock_local_port(sk);
	a->protocol = sock_read(sock, sk, sk_protocol);
}

/* Without a port the kernel is going to choose one: it may be any. That of an SMC socket is known to the TCP
 * socket within, which nobody is asked about. */
static __always_inline int listens(struct socket *socket, u32 strength)
{
	struct socket_asked a = { .operations = SOCKET_DOING_LISTEN, .strength = strength };
	const struct sock *sk = socket->sk;
	u16 family;

	if (!sk || !use_begin(&a))
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_INET || family == AF_INET6)
		listen_read(sk, family == AF_INET6, &a);
	else if (family == AF_SMC)
		a.any_address = a.any_protocol = true;
	else
		return 0;
	a.any_port = !a.port;
	return guard_says(use_judge(&a));
}

/* clang-format off */
ALT(listens, 1) LISTENS SEC("?lsm/socket_listen")
int BPF_PROG(listens_lsm, struct socket *socket)
{
	return listens(socket, SOCKET_STRENGTH_LSM);
}

ALT(listens, 2) LISTENS SEC("?fmod_ret/security_socket_listen")
int BPF_PROG(listens_fmod, struct socket *socket)
{
	return listens(socket, SOCKET_STRENGTH_FMOD_RET);
}
/* clang-format on */
