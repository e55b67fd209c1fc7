/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Connections as accept(2) hands them to a process, by the best hook there is. The probe defines
 *
 *	static __noinline int accepted(void *ctx, const struct sock *sk)
 *
 * which runs in the context of the one who accepts, and writes ACCEPT_HOOKS behind it. Where only the
 * system calls can be hooked, what is accepted by way of io_uring is not seen.
 */
#pragma once

#include "kernel/sock.h"
#include "kernel/syscall.h"

static __always_inline struct sock *accepted_sock(long fd)
{
	struct socket *socket;

	return fd < 0 ? NULL : sock_of_fd(fd, &socket);
}

/* The arguments of inet_csk_accept() became a struct in 6.10 (92ef0fd55ac8). */
#define ACCEPT_HOOKS                                                                               \
	ALT(accept, 1) NEED("type proto_accept_arg")                                               \
	SEC("?fexit/inet_csk_accept")                                                              \
	int BPF_PROG(accept_done, struct sock *listener, void *arg, struct sock *sk)               \
	{                                                                                          \
		return sk ? accepted(ctx, sk) : 0;                                                 \
	}                                                                                          \
	ALT(accept, 2) NEED("!type proto_accept_arg")                                              \
	SEC("?fexit/inet_csk_accept")                                                              \
	int BPF_PROG(accept_done_69, struct sock *listener, int flags, int *err, bool kern,        \
		     struct sock *sk)                                                              \
	{                                                                                          \
		return sk ? accepted(ctx, sk) : 0;                                                 \
	}                                                                                          \
	ALT(accept, 3)                                                                             \
	SEC("?tp/syscalls/sys_exit_accept") int accept_exits(struct syscall_trace_exit *ctx)       \
	{                                                                                          \
		struct sock *sk = accepted_sock(ctx->ret);                                         \
                                                                                                   \
		return sk ? accepted(ctx, sk) : 0;                                                 \
	}                                                                                          \
	ALT(accept, 3)                                                                             \
	SEC("?tp/syscalls/sys_exit_accept4") int accept4_exits(struct syscall_trace_exit *ctx)     \
	{                                                                                          \
		struct sock *sk = accepted_sock(ctx->ret);                                         \
                                                                                                   \
		return sk ? accepted(ctx, sk) : 0;                                                 \
	}
