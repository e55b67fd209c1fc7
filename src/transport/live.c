/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Live probes as one stream. A batch looks at every ring once, then hands over what was there in
 * the order of time: merging the heads, since each ring is nearly ordered in itself.
 */
#include "transport/live.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/vec.h"
#include "bpf/object.h"
#include "bpf/perfring.h"
#include "transport/ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Space is given back to the kernel after so many bytes, not only at the end of a batch. */
#define RELEASE_BYTES (64 * 1024)

struct source {
	const struct object *object;
	const struct schema *const *events;
	size_t event_count;
	struct ring *ring;         /* NULL: the probe has no events, or uses a perf array */
	struct perfring *perfring; /* NULL: a ring */
	const void *head;          /* the next record, or NULL */
	uint32_t head_size;
	enum live_account kind;
	struct account account;
};

struct live {
	struct stream stream;
	vec(struct source) sources;
	vec(struct account) accounts;
	int epoll_fd;
};

static const struct schema *source_schema(const struct source *src, uint32_t type)
{
	for (size_t i = 0; i < src->event_count; i++)
		if (src->events[i]->type_id == type)
			return src->events[i];
	return NULL;
}

/* The head as a row; false when it does not fit any event of the probe. */
static bool source_row(struct source *src, struct row *row)
{
	const struct record *rec = src->head;

	if (src->head_size < sizeof(*rec) || rec->size > src->head_size - sizeof(*rec))
		return false;
	row->schema = source_schema(src, rec->type);
	if (!row->schema || rec->size < row->schema->size)
		return false;
	row->bytes = (const unsigned char *)(rec + 1);
	row->size = rec->size;
	row->cpu = rec->cpu;
	row->seq = rec->seq;
	row->at_ns = rec->at_ns;
	return true;
}

static void source_peek(struct source *src)
{
	src->head = src->ring ? ring_peek(src->ring, &src->head_size)
			      : perfring_peek(src->perfring, &src->head_size);
}

static void source_next(struct source *src)
{
	if (src->perfring) {
		perfring_next(src->perfring);
	} else {
		ring_next(src->ring);
		if (ring_held_bytes(src->ring) >= RELEASE_BYTES)
			ring_release(src->ring);
	}
	source_peek(src);
}

static uint64_t head_time(const struct source *src)
{
	const struct record *rec = src->head;

	return src->head_size < sizeof(*rec) ? 0 : rec->at_ns;
}

static struct source *earliest(struct live *l)
{
	struct source *first = NULL;

	vec_for_each(src, &l->sources)
		if (src->head && (!first || head_time(src) < head_time(first)))
			first = src;
	return first;
}

static void live_refresh(struct live *l)
{
	vec_for_each(src, &l->sources) {
		if (src->ring)
			ring_refresh(src->ring);
		if (src->perfring)
			perfring_refresh(src->perfring);
		if (src->ring || src->perfring)
			source_peek(src);
	}
}

static void live_release(struct live *l)
{
	vec_for_each(src, &l->sources) {
		if (src->ring)
			ring_release(src->ring);
		src->head = NULL;
	}
}

static int live_drain(struct stream *s, unsigned limit, row_fn *fn, void *ctx, struct err *e)
{
	struct live *l = container_of(s, struct live, stream);
	struct source *src;
	unsigned n = 0;
	int stop = 0;

	(void)e;
	live_refresh(l);
	while (n < limit && !stop && (src = earliest(l))) {
		struct row row = { 0 };

		src->account.received++;
		if (source_row(src, &row)) {
			stop = fn(&row, ctx);
			n++;
		} else {
			src->account.malformed++;
		}
		source_next(src);
	}
	live_release(l);
	return (int)n;
}

static int live_poll_fd(struct stream *s)
{
	return container_of(s, struct live, stream)->epoll_fd;
}

static bool live_ended(struct stream *s)
{
	(void)s;
	return false;
}

static const struct account *live_accounts(struct stream *s, size_t *ret_count)
{
	struct live *l = container_of(s, struct live, stream);
	struct err ignored;

	vec_clear(&l->accounts);
	vec_for_each(src, &l->sources) {
		if (src->kind == LIVE_HELPER)
			continue;
		if (src->kind == LIVE_IN_FORCE) {
			src->account.kernel.seen = src->account.received;
			src->account.kernel.sent = src->account.received;
			vec_push(&l->accounts, src->account);
			continue;
		}
		/* an object without counters keeps zeroes */
		if (object_stats(src->object, &src->account.kernel, &ignored) < 0)
			err_clear(&ignored);
		src->account.missed = object_missed(src->object);
		vec_push(&l->accounts, src->account);
	}
	*ret_count = l->accounts.len;
	return l->accounts.at;
}

static int64_t live_wall_offset(struct stream *s)
{
	struct wall wall;

	(void)s;
	wall_init(&wall);
	return wall.offset_ns;
}

static void live_free(struct stream *s)
{
	struct live *l = container_of(s, struct live, stream);

	vec_for_each(src, &l->sources) {
		ring_free(src->ring);
		perfring_free(src->perfring);
	}
	vec_done(&l->sources);
	vec_done(&l->accounts);
	fd_close(&l->epoll_fd);
	free(l);
}

static const struct stream_ops live_ops = {
	.drain = live_drain,
	.poll_fd = live_poll_fd,
	.ended = live_ended,
	.accounts = live_accounts,
	.wall_offset_ns = live_wall_offset,
	.free = live_free,
};

int live_new(struct stream **ret, struct err *e)
{
	struct live *l = xnew(struct live);

	l->stream.ops = &live_ops;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		free(l);
		return fail(e, errno, "epoll: %s", strerror(errno));
	}
	*ret = &l->stream;
	return 0;
}

static int watch_fd(struct live *l, int fd, struct err *e)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return fail(e, errno, "watch a ring buffer: %s", strerror(errno));
	return 0;
}

static int source_open(struct live *l, struct source *src, struct err *e)
{
	int fd = object_map_fd(src->object, "sonda_ring"), err;

	if (fd >= 0) {
		err = ring_open(fd, object_map_max_entries(src->object, "sonda_ring"), &src->ring,
				e);
		return err ? err : watch_fd(l, fd, e);
	}
	fd = object_map_fd(src->object, "sonda_perf");
	if (fd < 0)
		return 0; /* no events: metric tables only */
	err = perfring_open(fd, object_map_max_entries(src->object, "sonda_ring"), &src->perfring,
			    e);
	for (unsigned i = 0; !err && i < perfring_fd_count(src->perfring); i++)
		err = watch_fd(l, perfring_fd(src->perfring, i), e);
	return err;
}

int live_add(struct stream *s, const char *probe, const struct object *object,
	     const struct schema *const *events, size_t event_count, enum live_account kind,
	     struct err *e)
{
	struct live *l = container_of(s, struct live, stream);
	struct source *src;

	assert(s->ops == &live_ops && probe && object && e);
	src = vec_add(&l->sources);
	src->object = object;
	src->events = events;
	src->event_count = event_count;
	src->kind = kind;
	src->account.probe = probe;
	return source_open(l, src, e);
}
