/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Sockets that are open, of every network namespace, each with the process that has it: what a
 * SEC("iter/task_file") program is given, for snapshots and for what is there when a probe starts.
 * A socket that several processes have comes once for each.
 *
 *	AT_START SEC("iter/task_file") int there_already(struct bpf_iter__task_file *ctx)
 *	{
 *		struct task_struct *task = ctx->task;
 *		struct sock *sk = iter_sock(ctx->file);
 *
 *		if (task && sk && sock_is_tcp(sk)) ...
 */
#pragma once

#include "kernel/iter.h"
#include "kernel/sock.h"

/* The socket, or NULL: another sort of file. */
static __always_inline struct sock *iter_sock(struct file *file)
{
	struct socket *socket;

	return file ? file_sock(file, &socket) : NULL;
}

/* Is the process one that the filters want? A snapshot counts nothing. */
static __always_inline bool iter_wanted(struct task_struct *task)
{
	if (sonda_conf.self && BPF_CORE_READ(task, tgid) == sonda_conf.self)
		return false;
	return !sonda_conf.sets_on || task_in_filters(task);
}
