/* SPDX-License-Identifier: BSD-2-Clause */
/* Reasons to end. */
#include "pipeline/ends.h"

#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"
#include "pipeline/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

void ends_now(struct ends *n)
{
	n->reached = true;
	loop_stop(n->loop, 0);
}

static void on_timer(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	(void)l, (void)timer, (void)missed;
	ends_now(ctx);
}

static void on_signal(struct loop *l, int signo, void *ctx)
{
	struct ends *n = ctx;

	(void)l;
	if (n->child)
		child_kill(n->child, signo);
	ends_now(n);
}

static void on_child(struct loop *l, int signo, void *ctx)
{
	struct ends *n = ctx;

	(void)l, (void)signo;
	if (child_reap(n->child))
		ends_now(n);
}

int ends_watch(struct ends *n, struct loop *l, struct child *child, uint64_t for_ns, struct err *e)
{
	sigset_t ends;
	int err;

	n->loop = l;
	n->child = child;
	n->cancel_fd = -1;
	err = loop_signal_add(l, SIGINT, on_signal, n, e);
	if (!err)
		err = loop_signal_add(l, SIGTERM, on_signal, n, e);
	if (!err && child && child->pid)
		err = loop_signal_add(l, SIGCHLD, on_child, n, e);
	if (err)
		return err;
	if (for_ns)
		loop_timer_add(l, for_ns, 0, on_timer, n);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	/* not read before the end: it shows that one waits while an output is blocked */
	n->cancel_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	return n->cancel_fd < 0 ? fail(e, errno, "signalfd: %s", strerror(errno)) : 0;
}

/* A signal that still waits has been heeded: unblocked, it would kill before the last words. */
void ends_done(struct ends *n)
{
	struct signalfd_siginfo heeded;

	while (n->cancel_fd >= 0 && read(n->cancel_fd, &heeded, sizeof(heeded)) > 0)
		;
	fd_close(&n->cancel_fd);
}
