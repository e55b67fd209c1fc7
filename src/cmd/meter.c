/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a table at intervals. The first reading is of nothing, when the probe has just been
 * attached, so that the first that is shown has all that was counted since.
 */
#include "cmd/meter.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "base/term.h"
#include "cmd/screen.h"
#include "sink/out.h"
#include "sink/sink.h"
#include "transport/stream.h"

#include <errno.h>

#define SECOND_NS 1000000000ULL

enum { DRAIN_ROWS = 65536, TERMINAL_LINES_OTHER = 4 };

/* clang-format off */
static const struct opt meter_opts[] = {
	{ "by",        OPT_LIST,     offsetof(struct meter, by),          "LABELS", "group by these labels; the others are not even counted" , .letter = 'b' },
	{ "interval",  OPT_DURATION, offsetof(struct meter, interval_ns), "TIME",   "time between two readings (1s)", .letter = 'I', .least = 1000000, .most = 86400ULL * SECOND_NS },
	{ "once",      OPT_BOOL,     offsetof(struct meter, once),        NULL,     "one reading, after an interval or at the end of COMMAND", .letter = '1' },
	{ "limit",     OPT_U32,      offsetof(struct meter, limit),       "N",      "groups shown at most (0: all; text 20 or what fits the screen)", .letter = 'l' },
	{ "output",    OPT_STR,      offsetof(struct meter, format),      "FORMAT", "text, json, csv or null", .letter = 'o' },
	{ "no-header", OPT_BOOL,     offsetof(struct meter, no_header),   NULL,     "no titles, no header lines" },
	{ "count",     OPT_U64,      offsetof(struct meter, count),       "N",      "end after so many readings", .letter = 'n' },
	{ "for",       OPT_DURATION, offsetof(struct meter, for_ns),      "TIME",   "end after so long (10s)", .letter = 'd' },
	{ "strict",    OPT_BOOL,     offsetof(struct meter, strict),      NULL,     "fail when something was lost or can't be seen here" },
};
/* clang-format on */

#define LIMIT_UNSET UINT32_MAX

void meter_init(struct meter *m, const struct meter_ops *ops, void *self)
{
	m->ops = ops;
	m->self = self;
	m->interval_ns = SECOND_NS;
	m->limit = LIMIT_UNSET;
	m->ends = (struct ends)ENDS_NONE;
	session_init(&m->session);
	m->session.without_events = true;
}

void meter_done(struct meter *m)
{
	screen_free(m->screen);
	if (m->sink)
		m->sink_ops->close(m->sink);
	losses_done(&m->losses);
	periodics_done(&m->periodics);
	ends_done(&m->ends);
	loop_free(m->loop);
	stream_free(m->stream);
	table_reader_free(m->reader);
	session_done(&m->session);
	strlist_done(&m->by);
	strbuf_done(&m->text);
	strbuf_done(&m->out);
	strbuf_done(&m->note);
}

/* The first word is a probe, whose parameters become options; the second stays. */
static int meter_word(struct opt_set *set, const char *word, void *ctx, struct err *e)
{
	struct meter *m = ctx;

	return m->session.probes.len ? 0 : session_word(set, word, &m->session, e);
}

void meter_options(struct meter *m, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Reading",
					     .rows = meter_opts,
					     .count = ARRAY_LEN(meter_opts),
					     .cfg = m });
	session_options(&m->session, set);
	set->word = meter_word;
	set->ctx = m;
}

/* ---- showing ---- */

static void meter_check(struct meter *m, int err)
{
	if (err >= 0)
		return;
	if (!m->failed)
		m->failed = err;
	ends_now(&m->ends);
}

static void show_text(struct meter *m, struct strbuf *out)
{
	if (!m->screen && m->shown && !m->scrolls && !m->no_header)
		strbuf_putc(out, '\n');
	m->ops->text(m, out);
}

static void show_json(struct meter *m, struct strbuf *out)
{
	reading_json(&m->reading, out);
}

static void show_csv(struct meter *m, struct strbuf *out)
{
	reading_csv(&m->reading, !m->shown && !m->no_header, out);
}

static void show_nothing(struct meter *m, struct strbuf *out)
{
	(void)m, (void)out;
}

static const struct meter_form {
	const char *name;
	void (*show)(struct meter *m, struct strbuf *out);
} forms[] = {
	{ "text", show_text },
	{ "json", show_json },
	{ "csv", show_csv },
	{ "null", show_nothing },
};

static int form_choose(struct meter *m, struct err *e)
{
	for (size_t i = 0; !m->form && i < ARRAY_LEN(forms); i++)
		if (str_eq(forms[i].name, m->format ?: "text"))
			m->form = &forms[i];
	if (!m->form)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "unknown format '%s' (expected text, json, csv or null)", m->format);
	return 0;
}

static bool is_text(const struct meter *m)
{
	return m->form->show == show_text;
}

/* What stands behind the title: losses, and the keys there are. */
static void meter_note(struct meter *m)
{
	strbuf_reset(&m->note);
	if (m->tally.lost)
		strbuf_appendf(&m->note, ", lost %llu", (unsigned long long)m->tally.lost);
	if (m->tally.overflow)
		strbuf_appendf(&m->note, ", %llu into other",
			       (unsigned long long)m->tally.overflow);
	if (m->screen && m->paused)
		strbuf_puts(&m->note, ", paused");
	if (m->screen && screen_has_keys(m->screen))
		strbuf_appendf(&m->note, "   q quit, %sspace pause", m->ops->keys);
	m->reading.note = strbuf_str(&m->note);
}

static void meter_sizes(struct meter *m)
{
	struct reading *r = &m->reading;

	r->width_cols = m->screen ? screen_width_cols(m->screen) : term_width(STDOUT_FILENO);
	if (m->limit != LIMIT_UNSET)
		r->order.limit = m->limit;
	else if (!is_text(m))
		r->order.limit = 0;
	else if (m->screen && screen_height_rows(m->screen) > 2 * TERMINAL_LINES_OTHER)
		r->order.limit = screen_height_rows(m->screen) - TERMINAL_LINES_OTHER;
	else
		r->order.limit = 20;
}

/* Draws the last reading, perhaps again. */
static void meter_draw(struct meter *m)
{
	if (m->failed)
		return;
	meter_note(m);
	meter_sizes(m);
	strbuf_reset(&m->text);
	m->form->show(m, &m->text);
	if (m->screen)
		screen_draw(m->screen, &m->text, &m->out);
	else
		strbuf_append(&m->out, strbuf_str(&m->text), m->text.len);
	meter_check(m, out_write(&m->out, STDOUT_FILENO, m->ends.cancel_fd, m->e));
}

/* ---- reading ---- */

static int on_event(const struct row *r, void *ctx)
{
	struct meter *m = ctx;

	(void)r;
	m->dropped++;
	return 0;
}

/* Losses are lines of their own, but on a screen, where they are in the title. */
static void meter_accounts(struct meter *m)
{
	int n = m->stream->ops->drain(m->stream, DRAIN_ROWS, on_event, m, m->e);

	meter_check(m, n);
	tally_take(&m->tally, m->stream, 0, m->dropped);
	if (m->failed || m->screen)
		return;
	meter_check(m, losses_tell(&m->losses, m->stream, m->sink_ops, m->sink, m->e));
	if (!m->failed)
		meter_check(m, m->sink_ops->flush(m->sink, m->e));
}

static void meter_read(struct meter *m)
{
	meter_accounts(m);
	wall_refresh(&m->wall);
	if (!m->failed)
		meter_check(m, table_reader_read(m->reader, clock_boot_ns(), m->e));
	meter_draw(m);
	m->shown++;
}

static void on_interval(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	struct meter *m = ctx;

	(void)l, (void)timer, (void)missed;
	if (m->paused)
		return;
	meter_read(m);
	if ((m->once && m->shown) || (m->count && m->shown >= m->count)) {
		m->last_shown = true;
		ends_now(&m->ends);
	}
}

static void on_key(int key, void *ctx)
{
	struct meter *m = ctx;

	if (key == 'q')
		ends_now(&m->ends);
	else if (key == ' ')
		m->paused = !m->paused;
	else if (key && !m->ops->key(m, key))
		return;
	if (m->shown)
		meter_draw(m);
}

/* ---- beginning and ending ---- */

static int meter_choose(struct meter *m, const struct opt_rest *rest, struct err *e)
{
	/* the probe's word is in the rest too, as it was named */
	int err = m->ops->choose(m, rest->count > 1 ? rest->words[1] : NULL, e);

	if (err)
		return err;
	if (m->by.len) {
		m->asked.by = (const char *const *)m->by.at;
		m->asked.by_count = m->by.len;
	}
	err = table_reader_new(&m->session, &m->asked, &m->reader, e);
	if (err)
		return err;
	m->reading.probe = m->session.probes.at[0].probe->name;
	m->reading.table = m->asked.table->name;
	m->reading.fold = table_reader_fold(m->reader);
	m->reading.wall = &m->wall;
	m->reading.no_header = m->no_header;
	m->reading.colour = term_has_colour(STDOUT_FILENO);
	m->reading.order.only_active = is_text(m);
	return m->ops->order(m, e);
}

/* Only for the losses; the form prints the rest. */
static int sink_start(struct meter *m, struct err *e)
{
	struct sink_options options = {
		.fd = STDOUT_FILENO,
		.cancel_fd = m->ends.cancel_fd,
		.colour = m->reading.colour,
		.width_cols = term_width(STDOUT_FILENO),
		.wall = &m->wall,
		.one_probe = true,
	};

	m->sink_ops = sink_find(m->form->name);
	return m->sink_ops->open(&options, &m->sink, e);
}

static int screen_start(struct meter *m, struct err *e)
{
	if (!is_text(m) || m->once || m->scrolls || !term_is_tty(STDOUT_FILENO))
		return 0;
	return screen_new(m->loop, !m->session.child.pid, on_key, m, &m->screen, e);
}

static int meter_start(struct meter *m, struct err *e)
{
	struct child *child = &m->session.child;
	int err = loop_new(&m->loop, e);

	if (!err)
		err = ends_watch(&m->ends, m->loop, child, m->for_ns, e);
	if (!err)
		err = session_stream(&m->session, &m->stream, e);
	if (!err)
		err = table_reader_open(m->reader, e);
	if (err)
		return err;
	wall_init(&m->wall);
	fold_begin(m->reading.fold, clock_boot_ns());
	fold_end(m->reading.fold);
	periodics_start(&m->periodics, &m->session, m->loop);
	if (!(m->once && child->pid))
		loop_timer_add(m->loop, m->interval_ns, m->interval_ns, on_interval, m);
	err = sink_start(m, e);
	if (!err)
		err = session_go(&m->session, e);
	return err ? err : screen_start(m, e);
}

/* What was counted since the last reading; for --once and a command, all of it. */
static void meter_finish(struct meter *m)
{
	bool on_screen = m->screen != NULL;

	session_stop(&m->session);
	periodics_finish(&m->periodics);
	screen_free(TAKE_PTR(m->screen));
	if (m->last_shown || (on_screen && m->shown && !m->session.child.pid)) {
		meter_accounts(m);
		return;
	}
	if (m->session.child.pid) {
		m->reading.whole = m->reading.order.by_total = true;
		m->reading.order.only_active = false;
	}
	meter_read(m);
}

static int strict_code(const struct meter *m)
{
	struct strbuf missing = { 0 };
	bool whole;

	session_coverage(&m->session, &missing);
	whole = !m->tally.lost && !missing.len;
	strbuf_done(&missing);
	if (m->strict && !whole)
		log_error(NULL, "--strict: not everything was counted");
	return m->strict && !whole ? EXIT_FAILED : EXIT_OK;
}

static int meter_loop(struct meter *m, struct err *e)
{
	auto_free char *rows = NULL;
	int err = meter_start(m, e), code;

	if (!err)
		err = loop_run(m->loop, -1, e);
	if (err < 0)
		return err;
	meter_finish(m);
	if (m->failed)
		return m->failed;
	rows = xasprintf(", rows %u of %u", table_reader_rows(m->reader),
			 table_reader_rows_max(m->reader));
	tally_note(&m->tally, &m->session, rows);
	code = strict_code(m);
	if (code == EXIT_OK && m->session.child.ended)
		code = child_exit_code(&m->session.child);
	return code;
}

int meter_run(struct meter *m, const struct opt_rest *rest, struct err *e)
{
	int err = 0;

	m->e = e;
	if (form_choose(m, e) < 0)
		return -e->code;
	if (rest->has_dashes && !rest->after_count)
		return fail_as(e, EXIT_USAGE, EINVAL, "a COMMAND is expected after --");
	if (rest->count > 2)
		return fail_as(e, EXIT_USAGE, EINVAL, "one probe and one table are expected");
	if (rest->has_dashes)
		err = session_command(&m->session, rest->after, e);
	if (!err)
		err = session_ready(&m->session, e);
	if (!err)
		err = meter_choose(m, rest, e);
	if (!err)
		err = session_load(&m->session, e);
	return err ? err : meter_loop(m, e);
}
