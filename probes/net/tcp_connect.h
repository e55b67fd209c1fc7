/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What connect(2) returned, which net.tcp needs where the socket does not say.
 */
#pragma once

/* `sent`: this call has sent a SYN. */
static __noinline int connect_returns(void *ctx, const struct sock *sk,
				      const struct sockaddr_any *to, int err, bool sent)
{
	struct connection *c = connection_of(sk);
	struct step s = { .step = TCP_STEP_CONNECT };

	if (!to || err >= 0 || err == -EINPROGRESS)
		return 0;
	if (c && c->undecided) {
		connect_tell(ctx, sk, c, err);
		connection_forget(c);
	}
	if (c || sent)
		return 0;
	c = connection_new((u64)sk);
	if (!c)
		return 0;
	c->side = TCP_SIDE_CLIENT;
	cause_now(&c->cause);
	s.err = err;
	s.outcome = outcome_of(err);
	s.peer_port = bpf_ntohs(to->port);
	if (to->family == AF_INET6) {
		ip_from_v6(&s.peer, to->v6);
	} else {
		s.peer.family = AF_INET;
		__builtin_memcpy(s.peer.bytes, &to->v4, 4);
	}
	step_tell(ctx, sk, c, &s);
	connection_forget(c);
	return 0;
}

ALT(connect, 1)
SEC("?fexit/tcp_v4_connect")
int BPF_PROG(connect4_done, struct sock *sk, void *address, int size, int err)
{
	struct sockaddr_any to = {};

	bpf_probe_read_kernel(&to, 16, address);
	return connect_returns(ctx, sk, &to, err, false);
}

ALT(connect, 1)
SEC("?fexit/tcp_v6_connect")
int BPF_PROG(connect6_done, struct sock *sk, void *address, int size, int err)
{
	struct sockaddr_any to = {};
	struct ip ip = {};

	bpf_probe_read_kernel(&to, sizeof(to), address);
	ip_from_v6(&ip, to.v6);
	if (ip.family == AF_INET) /* it has called tcp_v4_connect */
		return 0;
	return connect_returns(ctx, sk, &to, err, false);
}

ALT(connect, 2)
SEC("?tp/syscalls/sys_enter_connect") int connect_enters(struct syscall_trace_enter *ctx)
{
	u32 tid = bpf_get_current_pid_tgid(), size = ctx->args[2];
	void *address = (void *)ctx->args[1];
	struct socket *socket;
	struct sock *sk = sock_of_fd(ctx->args[0], &socket);
	struct attempt a = {};

	if (!sk || BPF_CORE_READ(socket, state) != SS_UNCONNECTED)
		return 0;
	a.sk = (u64)sk;
	if (size < sizeof(a.to))
		bpf_probe_read_user(&a.to, 16, address);
	else
		bpf_probe_read_user(&a.to, sizeof(a.to), address);
	bpf_map_update_elem(&attempts, &tid, &a, BPF_ANY);
	return 0;
}

ALT(connect, 2)
SEC("?tp/syscalls/sys_exit_connect") int connect_exits(struct syscall_trace_exit *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct attempt *a = bpf_map_lookup_elem(&attempts, &tid);

	if (!a)
		return 0;
	connect_returns(ctx, (struct sock *)a->sk, &a->to, ctx->ret, a->sent);
	return bpf_map_delete_elem(&attempts, &tid);
}
