/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop. What a callback drops may still have an event in the batch in hand: each watch
 * has a number of its own, and an event whose number is gone is passed over. Timers that are gone
 * are freed between batches.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum { BATCH = 32, SIGNO_MAX = 64 };
#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL

struct watch {
	int fd;
	uint32_t serial;
	loop_fd_fn *fn;
	void *ctx;
};

struct loop_timer {
	uint64_t due_ns, every_ns;
	loop_timer_fn *fn;
	void *ctx;
	bool gone;
};

struct taker {
	loop_signal_fn *fn;
	void *ctx;
};

struct loop {
	int epoll_fd, timer_fd, signal_fd;
	struct map watches; /* by fd */
	uint32_t serial;
	vec(struct loop_timer *) timers;
	uint64_t armed_ns; /* what timer_fd is set to; 0: nothing */
	struct taker taker[SIGNO_MAX + 1];
	sigset_t taken, mask_before;
	bool masked, stopped;
	unsigned stop_value;
};

static int watch_control(struct loop *l, int op, const struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	ev.data.u64 = (uint64_t)w->serial << 32 | (uint32_t)w->fd;
	return epoll_ctl(l->epoll_fd, op, w->fd, &ev) < 0 ? -errno : 0;
}

int loop_fd_add(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *ctx, struct err *e)
{
	struct watch *old, *w;
	int ret;

	assert(l && fn);
	old = map_get(&l->watches, (uint32_t)fd);
	w = xnew(struct watch);
	*w = (struct watch){ .fd = fd, .serial = ++l->serial, .fn = fn, .ctx = ctx };
	ret = watch_control(l, old ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w, events);
	if (ret < 0) {
		free(w);
		return fail(e, -ret, "watch descriptor %d: %s", fd, strerror(-ret));
	}
	free(map_put(&l->watches, (uint32_t)fd, w));
	return 0;
}

void loop_fd_drop(struct loop *l, int fd)
{
	struct watch *w = map_del(&l->watches, (uint32_t)fd);

	if (w)
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	free(w);
}

/* Sets the timerfd to the earliest timer. */
static void timers_arm(struct loop *l)
{
	struct itimerspec spec = { 0 };
	uint64_t due_ns = 0;

	vec_for_each(it, &l->timers) {
		struct loop_timer *t = *it;

		if (!t->gone && (!due_ns || t->due_ns < due_ns))
			due_ns = t->due_ns;
	}
	if (due_ns == l->armed_ns)
		return;
	spec.it_value.tv_sec = (time_t)(due_ns / NS_PER_S);
	spec.it_value.tv_nsec = (long)(due_ns % NS_PER_S);
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	l->armed_ns = due_ns;
}

static void timer_run(struct loop *l, struct loop_timer *t, uint64_t now_ns)
{
	uint64_t missed = 0;

	if (t->every_ns) {
		missed = (now_ns - t->due_ns) / t->every_ns;
		t->due_ns += (missed + 1) * t->every_ns;
	} else {
		t->gone = true;
	}
	t->fn(l, t, missed, t->ctx);
}

/* Frees timers that are gone; their order doesn't matter. */
static void timers_sweep(struct loop *l)
{
	for (size_t i = 0; i < l->timers.len;) {
		if (!l->timers.at[i]->gone) {
			i++;
			continue;
		}
		free(l->timers.at[i]);
		l->timers.at[i] = vec_pop(&l->timers);
	}
}

static void timers_serve(struct loop *l, int fd, uint32_t events, void *ctx)
{
	size_t count = l->timers.len; /* those that callbacks add have their turn later */
	uint64_t expirations, now_ns;

	(void)events, (void)ctx;
	(void)!read(fd, &expirations, sizeof(expirations));
	l->armed_ns = 0;
	now_ns = clock_mono_ns();
	for (size_t i = 0; i < count && !l->stopped; i++) {
		struct loop_timer *t = l->timers.at[i];

		if (!t->gone && t->due_ns <= now_ns)
			timer_run(l, t, now_ns);
	}
}

struct loop_timer *loop_timer_add(struct loop *l, uint64_t after_ns, uint64_t every_ns,
				  loop_timer_fn *fn, void *ctx)
{
	struct loop_timer *t = xnew(struct loop_timer);
	uint64_t now_ns = clock_mono_ns();

	assert(l && fn);
	t->due_ns = after_ns < INT64_MAX - now_ns ? now_ns + after_ns : INT64_MAX;
	t->every_ns = every_ns;
	t->fn = fn;
	t->ctx = ctx;
	vec_push(&l->timers, t);
	return t;
}

void loop_timer_drop(struct loop *l, struct loop_timer *timer)
{
	assert(l);
	if (timer)
		timer->gone = true;
}

static void signals_serve(struct loop *l, int fd, uint32_t events, void *ctx)
{
	struct signalfd_siginfo info;

	(void)events, (void)ctx;
	while (!l->stopped && read(fd, &info, sizeof(info)) == sizeof(info)) {
		assert(info.ssi_signo <= SIGNO_MAX);
		if (l->taker[info.ssi_signo].fn)
			l->taker[info.ssi_signo].fn(l, (int)info.ssi_signo,
						    l->taker[info.ssi_signo].ctx);
	}
}

int loop_signal_add(struct loop *l, int signo, loop_signal_fn *fn, void *ctx, struct err *e)
{
	int fd;

	assert(l && fn && signo > 0 && signo <= SIGNO_MAX);
	sigaddset(&l->taken, signo);
	fd = signalfd(l->signal_fd, &l->taken, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return fail(e, errno, "signalfd: %s", strerror(errno));
	sigprocmask(SIG_BLOCK, &l->taken, l->masked ? NULL : &l->mask_before);
	l->masked = true;
	l->taker[signo] = (struct taker){ fn, ctx };
	if (fd == l->signal_fd)
		return 0;
	l->signal_fd = fd;
	return loop_fd_add(l, fd, EPOLLIN, signals_serve, NULL, e);
}

void loop_child(const struct loop *l)
{
	if (l->masked)
		sigprocmask(SIG_SETMASK, &l->mask_before, NULL);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	fd_close(&l->epoll_fd);
	fd_close(&l->timer_fd);
	fd_close(&l->signal_fd);
	loop_child(l);
	map_done(&l->watches, free);
	vec_for_each(t, &l->timers)
		free(*t);
	vec_done(&l->timers);
	free(l);
}

int loop_new(struct loop **ret_loop, struct err *e)
{
	auto_ptr(loop) l = xnew(struct loop);

	sigemptyset(&l->taken);
	l->signal_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->epoll_fd < 0 || l->timer_fd < 0)
		return fail(e, errno, "event loop: %s", strerror(errno));
	if (loop_fd_add(l, l->timer_fd, EPOLLIN, timers_serve, NULL, e) < 0)
		return -e->code;
	*ret_loop = TAKE_PTR(l);
	return 0;
}

static void batch_serve(struct loop *l, const struct epoll_event *ev, int count)
{
	for (int i = 0; i < count && !l->stopped; i++) {
		struct watch *w = map_get(&l->watches, (uint32_t)ev[i].data.u64);

		if (w && w->serial == ev[i].data.u64 >> 32)
			w->fn(l, w->fd, ev[i].events, w->ctx);
	}
}

/* Milliseconds until the deadline, rounded up; -1 for ever. */
static int left_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_mono_ns();

	if (deadline_ns == UINT64_MAX)
		return -1;
	if (now_ns >= deadline_ns)
		return 0;
	return (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

int loop_run(struct loop *l, int timeout_ms, struct err *e)
{
	uint64_t deadline_ns = UINT64_MAX;
	struct epoll_event ev[BATCH];
	int count, wait_ms;

	assert(l);
	l->stopped = false;
	if (timeout_ms >= 0)
		deadline_ns = clock_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	do {
		timers_arm(l);
		wait_ms = left_ms(deadline_ns);
		count = epoll_wait(l->epoll_fd, ev, BATCH, wait_ms);
		if (count < 0 && errno != EINTR)
			return fail(e, errno, "epoll_wait: %s", strerror(errno));
		batch_serve(l, ev, count);
		timers_sweep(l);
	} while (!l->stopped && wait_ms);
	return l->stopped ? (int)l->stop_value : 0;
}

void loop_stop(struct loop *l, unsigned value)
{
	assert(l && value <= INT32_MAX);
	l->stopped = true;
	l->stop_value = value;
}
