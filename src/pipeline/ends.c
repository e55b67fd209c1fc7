/* SPDX-License-Identifier: BSD-2-Clause */
/* Reasons to end. */
#include "pipeline/ends.h"

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "pipeline/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
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
	if (eventfd_write(n->heeded_fd, 1) < 0)
		log_debug("pipeline", "eventfd: %s", strerror(errno));
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

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP };

/* nohup(1) ignores it so that we go on; one that is blocked would come all the same. */
static bool is_heeded(int signo)
{
	struct sigaction now;

	return signo != SIGHUP || sigaction(signo, NULL, &now) || now.sa_handler != SIG_IGN;
}

static int signals_watch(struct ends *n, sigset_t *ret_watched, struct err *e)
{
	int err = 0;

	sigemptyset(ret_watched);
	for (size_t i = 0; !err && i < ARRAY_LEN(end_signals); i++) {
		if (!is_heeded(end_signals[i]))
			continue;
		sigaddset(ret_watched, end_signals[i]);
		err = loop_signal_add(n->loop, end_signals[i], on_signal, n, e);
	}
	return err;
}

/* An output may be blocked while the signal comes, or only after the loop has heeded it. */
static int cancel_open(struct ends *n, const sigset_t *signals, struct err *e)
{
	struct epoll_event event = { .events = EPOLLIN };

	n->waiting_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	n->heeded_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->cancel_fd = epoll_create1(EPOLL_CLOEXEC);
	if (n->waiting_fd < 0 || n->heeded_fd < 0 || n->cancel_fd < 0 ||
	    epoll_ctl(n->cancel_fd, EPOLL_CTL_ADD, n->waiting_fd, &event) < 0 ||
	    epoll_ctl(n->cancel_fd, EPOLL_CTL_ADD, n->heeded_fd, &event) < 0)
		return fail(e, errno, "watch for signals: %s", strerror(errno));
	return 0;
}

int ends_watch(struct ends *n, struct loop *l, struct child *child, uint64_t for_ns, struct err *e)
{
	sigset_t signals;
	int err;

	*n = (struct ends)ENDS_NONE;
	n->loop = l;
	n->child = child;
	err = signals_watch(n, &signals, e);
	if (!err && child && child->pid)
		err = loop_signal_add(l, SIGCHLD, on_child, n, e);
	if (err)
		return err;
	if (for_ns)
		loop_timer_add(l, for_ns, 0, on_timer, n);
	return cancel_open(n, &signals, e);
}

/* A signal that still waits has been heeded: unblocked, it would kill before the last words. */
void ends_done(struct ends *n)
{
	struct signalfd_siginfo heeded;

	while (n->waiting_fd >= 0 && read(n->waiting_fd, &heeded, sizeof(heeded)) > 0)
		;
	fd_close(&n->waiting_fd);
	fd_close(&n->heeded_fd);
	fd_close(&n->cancel_fd);
}
