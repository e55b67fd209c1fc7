/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The event loop: descriptors by epoll, any number of timers on one timerfd, signals by signalfd.
 * Callbacks run in the thread that calls loop_run() and may add, drop and stop anything,
 * themselves included. Descriptors stay the caller's. Signals taken are blocked until loop_free()
 * gives the old mask back; a forked child calls loop_child() before exec.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct loop;
struct loop_timer;

/* `events`: EPOLLIN, EPOLLOUT, EPOLLHUP ... */
typedef void loop_fd_fn(struct loop *l, int fd, uint32_t events, void *ctx);
/* `missed`: how many further periods have passed unserved. */
typedef void loop_timer_fn(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx);
typedef void loop_signal_fn(struct loop *l, int signo, void *ctx);

MUST_USE int loop_new(struct loop **ret_loop, struct err *e);
void loop_free(struct loop *l);
AUTO_PTR(loop)

/* Watches `fd`; a second call for the same fd changes it. Errors: EPERM (a regular file), EBADF. */
MUST_USE int loop_fd_add(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *ctx,
			 struct err *e);
/* Before the fd is closed. No effect when it isn't watched. */
void loop_fd_drop(struct loop *l, int fd);

/* Runs `fn` after `after_ns` (0: at once), then each `every_ns` (0: once, and the timer is gone
 * when `fn` returns). Never NULL. */
struct loop_timer *loop_timer_add(struct loop *l, uint64_t after_ns, uint64_t every_ns,
				  loop_timer_fn *fn, void *ctx);
/* Not for a timer that is gone (once, and it ran); NULL is fine. */
void loop_timer_drop(struct loop *l, struct loop_timer *timer);

/* Takes the signal for the loop. SIGCHLD reaps nobody: the callback does. */
MUST_USE int loop_signal_add(struct loop *l, int signo, loop_signal_fn *fn, void *ctx,
			     struct err *e);
/* In a forked child: the signal mask as it was before the loop. */
void loop_child(const struct loop *l);

/* Serves events until loop_stop() or for `timeout_ms` (-1: for ever; 0: only what is ready).
 * Returns what loop_stop() was given (0 or more), or 0 at the timeout, or -errno. */
MUST_USE int loop_run(struct loop *l, int timeout_ms, struct err *e);
void loop_stop(struct loop *l, unsigned value);
