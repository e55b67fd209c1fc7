/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of a stream. Rows are read when the kernel says that there are many, and otherwise by a
 * timer that goes slower while nothing comes: waking for each event would cost more than the events.
 */
#include "pipeline/run.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/opt.h"
#include "base/term.h"
#include "pipeline/ends.h"
#include "pipeline/periodic.h"
#include "pipeline/route.h"
#include "pipeline/session.h"
#include "pipeline/symbolise.h"
#include "pipeline/trailer.h"

#include <assert.h>
#include <errno.h>

#define MS             1000000ULL
#define DRAIN_ROWS     8192     /* between two looks at signals */
#define DRAIN_FIRST_NS (5 * MS) /* after the first rows */
#define DRAIN_BUSY_NS \
	(20 * MS) /* at most, while rows come: each look costs as much as twenty rows */
#define DRAIN_IDLE_NS (80 * MS) /* at most, while none do */
#define LOSS_EVERY_NS (250 * MS)

/* clang-format off */
static const struct opt_choice time_forms[] = {
	{ "s", WALL_S, NULL },       { "ms", WALL_MS, NULL },     { "us", WALL_US, NULL },
	{ "ns", WALL_NS, NULL },     { "date", WALL_DATE, NULL }, { "utc", WALL_UTC, NULL },
	{ "epoch", WALL_EPOCH, NULL }, { 0 },
};
static const struct opt output_opts[] = {
	{ "output",    OPT_STR,      offsetof(struct run_options, format),    "FORMAT", "text, json, csv, folded (stacks, for flame graphs) or null", .letter = 'o' },
	{ "fields",    OPT_LIST,     offsetof(struct run_options, fields),    "LIST",   "these fields in this order", .letter = 'f' },
	{ "weight",    OPT_STR,      offsetof(struct run_options, weight),    "FIELD",  "-o folded: sum this field by stack, not rows" },
	{ "time",      OPT_ENUM,     offsetof(struct run_options, time),      NULL,     "-o text: local time so precise (ms), with its date, in UTC, or seconds since 1970", .choices = time_forms },
	{ "no-header", OPT_BOOL,     offsetof(struct run_options, no_header), NULL,     "no header line" },
	{ "no-trailer", OPT_BOOL,    offsetof(struct run_options, no_trailer), NULL,    "-o json: no object with the counts at the end" },
}, end_opts[] = {
	{ "count",     OPT_U64,      offsetof(struct run_options, count),     "N",      "end after so many rows", .letter = 'n' },
	{ "for",       OPT_DURATION, offsetof(struct run_options, for_ns),    "TIME",   "end after so long (10s)", .letter = 'd' },
	{ "strict",    OPT_BOOL,     offsetof(struct run_options, strict),    NULL,     "fail when something was lost or can't be seen here" },
};
/* clang-format on */

struct run {
	const struct run_options *options;
	struct session *session; /* NULL: a recording */
	struct stream *stream;
	struct loop *loop;
	struct wall wall;
	struct router router;
	struct losses losses;
	struct periodics periodics;
	struct ends ends;
	uint64_t drain_ns; /* until the next look */
	bool is_busy;      /* the last look by the timer found rows */
	struct err *e;     /* of whatever failed within the loop */
	int failed;
};

void run_end_options(struct run_options *o, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "End",
					     .rows = end_opts,
					     .count = ARRAY_LEN(end_opts),
					     .cfg = o });
}

void run_options(struct run_options *o, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Output",
					     .rows = output_opts,
					     .count = ARRAY_LEN(output_opts),
					     .cfg = o });
	run_end_options(o, set);
}

void run_options_done(struct run_options *o)
{
	strlist_done(&o->fields);
}

static void run_stop(struct run *r)
{
	ends_now(&r->ends);
}

/* Keeps the first failure and ends the loop. */
static void run_check(struct run *r, int err)
{
	if (err >= 0)
		return;
	if (!r->failed)
		r->failed = err;
	run_stop(r);
}

static int on_row(const struct row *row, void *ctx)
{
	struct run *r = ctx;

	run_check(r, router_row(&r->router, row, r->e));
	if (router_full(&r->router))
		run_stop(r);
	return r->failed;
}

/* Reads what there is, at most DRAIN_ROWS; how many came. */
static int run_drain(struct run *r)
{
	int n;

	if (r->failed)
		return 0;
	if (r->session)
		wall_refresh(&r->wall); /* a recording keeps its own clock */
	n = r->stream->ops->drain(r->stream, DRAIN_ROWS, on_row, r, r->e);
	if (r->session)
		symbolise_refresh(r->session);
	run_check(r, n);
	if (n > 0 && !r->failed)
		run_check(r, r->router.ops->flush(r->router.sink, r->e));
	return n;
}

/* Losses that a recording tells, between its rows. */
static void on_loss(const char *probe, const char *cause, uint64_t count, uint64_t at_ns, void *ctx)
{
	struct run *r = ctx;

	if (!r->failed)
		run_check(r, r->router.ops->loss(r->router.sink, probe, cause, count, at_ns, r->e));
}

static void run_losses(struct run *r)
{
	if (r->failed || r->stream->ops->tell_losses)
		return;
	run_check(r, losses_tell(&r->losses, r->stream, r->router.ops, r->router.sink, r->e));
	if (!r->failed)
		run_check(r, r->router.ops->flush(r->router.sink, r->e));
}

/* Nobody waits for rows that are filtered, or only feed the enrichers; but where there are stacks, an exec
 * among them says that files are to be found while its process lives. */
static bool is_heeded(const struct run *r, int n, uint64_t delivered_before)
{
	return r->router.delivered > delivered_before ||
	       (n > 0 && r->session && r->session->symboliser);
}

static void on_drain_timer(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	struct run *r = ctx;
	uint64_t delivered = r->router.delivered;
	bool was_busy = r->is_busy;
	int n = run_drain(r);

	(void)timer, (void)missed;
	r->is_busy = is_heeded(r, n, delivered);
	if (r->is_busy && !was_busy)
		r->drain_ns = DRAIN_FIRST_NS;
	else
		r->drain_ns = min(r->drain_ns * 2, r->is_busy ? DRAIN_BUSY_NS : DRAIN_IDLE_NS);
	if (!r->session && !n && r->stream->ops->ended(r->stream))
		run_stop(r);
	else if (!r->ends.reached)
		loop_timer_add(l, n == DRAIN_ROWS || (n && !r->session) ? 0 : r->drain_ns, 0,
			       on_drain_timer, r);
}

static void on_readable(struct loop *l, int fd, uint32_t events, void *ctx)
{
	(void)l, (void)fd, (void)events;
	run_drain(ctx);
}

static void on_loss_timer(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	(void)l, (void)timer, (void)missed;
	run_losses(ctx);
}

static int run_watch_stream(struct run *r, struct err *e)
{
	int fd = r->stream->ops->poll_fd(r->stream), err = 0;

	if (fd >= 0)
		err = loop_fd_add(r->loop, fd, EPOLLIN, on_readable, r, e);
	if (r->stream->ops->tell_losses)
		r->stream->ops->tell_losses(r->stream, on_loss, r);
	if (!err && r->session)
		err = symbolise_watch(r->session, r->loop, e);
	r->drain_ns = DRAIN_FIRST_NS;
	loop_timer_add(r->loop, 0, 0, on_drain_timer, r);
	if (r->session) {
		loop_timer_add(r->loop, LOSS_EVERY_NS, LOSS_EVERY_NS, on_loss_timer, r);
		periodics_start(&r->periodics, r->session, r->loop);
	}
	return err;
}

/* Are all rows to come of one probe? */
static bool is_of_one_probe(const struct run *r)
{
	const struct schema *const *schemas;
	size_t count;

	if (r->session)
		return r->session->probes.len == 1;
	schemas = r->stream->ops->schemas(r->stream, &count);
	for (size_t i = 1; i < count; i++)
		if (!str_eq(schemas[i]->probe, schemas[0]->probe))
			return false;
	return count > 0;
}

static int sink_start(struct run *r, const struct sink_ops *sink, const char *path, struct err *e)
{
	const char *format = r->options->format ?: "text";
	struct sink_options options = {
		.fd = STDOUT_FILENO,
		.cancel_fd = r->ends.cancel_fd,
		.path = path,
		.no_header = r->options->no_header,
		.colour = term_has_colour(STDOUT_FILENO),
		.width_cols = term_width(STDOUT_FILENO),
		.note = log_note_text,
		.verbose = log_shows(LOG_LEVEL_DEBUG),
		.fields = (const char *const *)r->options->fields.at,
		.field_count = r->options->fields.len,
		.weight = r->options->weight,
		.time = (enum wall_form)r->options->time,
		.wall = &r->wall,
		.one_probe = is_of_one_probe(r),
	};

	r->router.ops = sink ?: sink_find(format);
	if (!r->router.ops)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "unknown format '%s' (expected text, json, csv, folded or null)",
			       format);
	return r->router.ops->open(&options, &r->router.sink, e);
}

static int routes_start(struct run *r, struct err *e)
{
	if (!r->session) {
		size_t count;
		const struct schema *const *schemas = r->stream->ops->schemas(r->stream, &count);

		return router_expect(&r->router, schemas, count, e);
	}
	for (size_t i = 0; r->session->feed && i < r->session->feed->decl->event_count; i++)
		router_feed(&r->router, r->session->feed_schemas[i]);
	vec_for_each(w, &r->session->probes)
		vec_for_each(event, &w->events) {
			int err = router_add(&r->router, event->schema, event->where,
					     event->nothing, e);

			if (err)
				return err;
		}
	return 0;
}

/* Detaches, then reads what is still in the rings. */
static void run_finish(struct run *r)
{
	if (r->session)
		session_stop(r->session);
	periodics_finish(&r->periodics);
	while (r->session && run_drain(r) > 0)
		;
	run_losses(r);
}

static int run_end(struct run *r, struct tally *tally)
{
	size_t count;
	const struct account *accounts;

	tally_take(tally, r->stream, r->router.delivered, r->router.filtered);
	accounts = r->stream->ops->accounts(r->stream, &count);
	if (!r->failed && r->router.ops->end)
		run_check(r, r->router.ops->end(r->router.sink, accounts, count, r->e));
	if (!r->failed && !r->options->no_trailer)
		run_check(r, trailer_tell(tally, r->session, r->router.ops, r->router.sink, r->e));
	if (!r->failed)
		run_check(r, r->router.ops->flush(r->router.sink, r->e));
	return r->failed;
}

static int run_loop(struct run *r, const struct sink_ops *sink, const char *path,
		    struct tally *tally, struct err *e)
{
	int err = loop_new(&r->loop, e);

	if (!err)
		err = ends_watch(&r->ends, r->loop, r->session ? &r->session->child : NULL,
				 r->options->for_ns, e);
	if (!err)
		err = sink_start(r, sink, path, e);
	if (!err)
		err = routes_start(r, e);
	if (!err)
		err = run_watch_stream(r, e);
	if (!err && r->session)
		err = session_go(r->session, e);
	if (err)
		return err;
	err = loop_run(r->loop, -1, e);
	if (err < 0)
		return err;
	run_finish(r);
	err = run_end(r, tally);
	if (r->session)
		symbolise_note(r->session);
	tally_note(tally, r->session, NULL);
	return err;
}

static int run_stream(struct run *r, const struct sink_ops *sink, const char *path,
		      struct tally *tally, struct err *e)
{
	int err;

	r->e = e;
	r->router.limit = r->options->count;
	wall_init_at(&r->wall, r->stream->ops->wall_offset_ns(r->stream));
	err = run_loop(r, sink, path, tally, e);
	if (r->router.sink)
		r->router.ops->close(r->router.sink);
	router_done(&r->router);
	losses_done(&r->losses);
	periodics_done(&r->periodics);
	ends_done(&r->ends);
	loop_free(r->loop);
	return err;
}

int run_session(struct session *s, const struct run_options *options, const struct sink_ops *sink,
		const char *path, struct tally *ret, struct err *e)
{
	struct run r = {
		.options = options, .session = s, .router.enrich = s->enrich, .ends = ENDS_NONE
	};
	int err = session_stream(s, &r.stream, e);

	if (err)
		return err;
	err = run_stream(&r, sink, path, ret, e);
	stream_free(r.stream);
	return err;
}

int run_recorded(struct stream *stream, struct filter *where, const struct run_options *options,
		 struct tally *ret, struct err *e)
{
	struct run r = {
		.options = options, .stream = stream, .router.where = where, .ends = ENDS_NONE
	};

	return run_stream(&r, NULL, NULL, ret, e);
}
