/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop: descriptors, timers, signals, and callbacks that change what is watched. */
#include "base/err.h"
#include "base/loop.h"
#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	struct loop *l;
	int fd[2], other[2];
	unsigned calls, stop_at;
	struct loop_timer *timer, *victim;
	int signo;
};

static void make(struct seen *s)
{
	struct err e;

	CHECK_INT(loop_new(&s->l, &e), 0);
	CHECK_INT(pipe(s->fd), 0);
	CHECK_INT(pipe(s->other), 0);
}

static void done(struct seen *s)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&s->fd[i]);
		fd_close(&s->other[i]);
	}
	loop_free(s->l);
}

static void on_readable(struct loop *l, int fd, uint32_t events, void *ctx)
{
	struct seen *s = ctx;
	char c;

	CHECK(events & EPOLLIN);
	CHECK_INT(read(fd, &c, 1), 1);
	loop_stop(l, ++s->calls);
}

TEST(descriptors)
{
	struct seen s = { 0 };
	struct err e;

	make(&s);
	CHECK_INT(loop_fd_add(s.l, s.fd[0], EPOLLIN, on_readable, &s, &e), 0);
	CHECK_INT(loop_run(s.l, 0, &e), 0);
	CHECK_INT(write(s.fd[1], "ab", 2), 2);
	CHECK_INT(loop_run(s.l, -1, &e), 1);
	CHECK_INT(loop_run(s.l, -1, &e), 2);
	CHECK_INT(write(s.fd[1], "c", 1), 1);
	loop_fd_drop(s.l, s.fd[0]);
	CHECK_INT(loop_run(s.l, 0, &e), 0);
	CHECK_INT(s.calls, 2);
	CHECK_INT(loop_fd_add(s.l, 9999, EPOLLIN, on_readable, &s, &e), -EBADF);
	CHECK_HAS(e.text, "9999");
	done(&s);
}

/* Whichever comes first drops both, so that the other's event is stale. */
static void on_drop_both(struct loop *l, int fd, uint32_t events, void *ctx)
{
	struct seen *s = ctx;

	(void)fd, (void)events;
	s->calls++;
	loop_fd_drop(l, s->fd[0]);
	loop_fd_drop(l, s->other[0]);
}

TEST(what_is_dropped_is_not_called)
{
	struct seen s = { 0 };
	struct err e;

	make(&s);
	CHECK_INT(loop_fd_add(s.l, s.fd[0], EPOLLIN, on_drop_both, &s, &e), 0);
	CHECK_INT(loop_fd_add(s.l, s.other[0], EPOLLIN, on_drop_both, &s, &e), 0);
	CHECK_INT(write(s.fd[1], "a", 1), 1);
	CHECK_INT(write(s.other[1], "a", 1), 1);
	CHECK_INT(loop_run(s.l, 0, &e), 0);
	CHECK_INT(s.calls, 1);
	done(&s);
}

static void on_tick(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	struct seen *s = ctx;

	(void)missed;
	CHECK(timer == s->timer);
	loop_timer_drop(l, s->victim);
	s->victim = NULL;
	if (++s->calls == s->stop_at)
		loop_stop(l, s->calls);
}

static void on_victim(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	(void)l, (void)timer, (void)missed, (void)ctx;
	CHECK(!"a dropped timer ran");
}

TEST(timers_repeat_and_drop)
{
	struct seen s = { .stop_at = 3 };
	struct err e;

	make(&s);
	s.timer = loop_timer_add(s.l, 0, 1000, on_tick, &s);
	s.victim = loop_timer_add(s.l, 0, 0, on_victim, &s);
	CHECK_INT(loop_run(s.l, -1, &e), 3);
	loop_timer_drop(s.l, s.timer);
	CHECK_INT(loop_run(s.l, 0, &e), 0);
	CHECK_INT(s.calls, 3);
	s.stop_at = 4;
	s.timer = loop_timer_add(s.l, 1000, 0, on_tick, &s);
	CHECK_INT(loop_run(s.l, -1, &e), 4);
	CHECK_INT(loop_run(s.l, 5, &e), 0); /* once only */
	CHECK_INT(s.calls, 4);
	loop_timer_add(s.l, 3600ULL * 1000000000, 0, on_victim, &s); /* freed with the loop */
	done(&s);
}

static void on_signal(struct loop *l, int signo, void *ctx)
{
	struct seen *s = ctx;

	s->signo = signo;
	loop_stop(l, 0);
}

TEST(signals_come_as_events)
{
	struct seen s = { 0 };
	sigset_t before, after;
	struct err e;

	sigprocmask(SIG_BLOCK, NULL, &before);
	make(&s);
	CHECK_INT(loop_signal_add(s.l, SIGTERM, on_signal, &s, &e), 0);
	CHECK_INT(loop_signal_add(s.l, SIGWINCH, on_signal, &s, &e), 0);
	kill(getpid(), SIGTERM);
	CHECK_INT(loop_run(s.l, -1, &e), 0);
	CHECK_INT(s.signo, SIGTERM);
	kill(getpid(), SIGWINCH);
	CHECK_INT(loop_run(s.l, -1, &e), 0);
	CHECK_INT(s.signo, SIGWINCH);
	done(&s);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CHECK_MEM(&before, &after, 8);
}

TEST(a_child_has_the_old_mask)
{
	struct seen s = { 0 };
	struct err e;
	int status = 0;
	pid_t pid;

	make(&s);
	CHECK_INT(loop_signal_add(s.l, SIGTERM, on_signal, &s, &e), 0);
	pid = fork();
	if (!pid) {
		kill(getpid(), SIGTERM); /* waits, being blocked */
		loop_child(s.l);
		_exit(1);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	done(&s);
}
