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
#include "cmd/meter_show.h"
#include "cmd/screen.h"
#include "pipeline/trailer.h"
#include "sink/out.h"
#include "sink/sink.h"
#include "transport/stream.h"

#include <errno.h>

#define SECOND_NS 1000000000ULL

enum { DRAIN_ROWS = 65536 };

/* clang-format off */
static const struct opt meter_opts[] = {
	{ "by",        OPT_LIST,     offsetof(struct meter, by),          "LABELS", "group by these labels; the others are not even counted" , .letter = 'b' },
	{ "interval",  OPT_DURATION, offsetof(struct meter, interval_ns), "TIME",   "time between two readings (1s)", .letter = 'I', .least = 1000000, .most = 86400ULL * SECOND_NS },
	{ "once",      OPT_BOOL,     offsetof(struct meter, once),        NULL,     "one reading, after an interval or at the end of COMMAND", .letter = '1' },
	{ "limit",     OPT_U32,      offsetof(struct meter, limit),       "N",      "groups shown at most (0: all; text 20 or what fits the screen)", .letter = 'l' },
	{ "output",    OPT_STR,      offsetof(struct meter, format),      "FORMAT", "text, json, csv, folded (stacks, for flame graphs) or null", .letter = 'o' },
	{ "no-header", OPT_BOOL,     offsetof(struct meter, no_header),   NULL,     "no titles, no header lines" },
	{ "no-trailer", OPT_BOOL,    offsetof(struct meter, no_trailer),  NULL,     "-o json: no object with the counts at the end" },
	{ "count",     OPT_U64,      offsetof(struct meter, count),       "N",      "end after so many readings", .letter = 'n' },
	{ "for",       OPT_DURATION, offsetof(struct meter, for_ns),      "TIME",   "end after so long (10s)", .letter = 'd' },
	{ "strict",    OPT_BOOL,     offsetof(struct meter, strict),      NULL,     "fail when something was lost or can't be seen here" },
};
/* clang-format on */

void meter_init(struct meter *m, const struct meter_ops *ops, void *self)
{
	m->ops = ops;
	m->self = self;
	m->interval_ns = SECOND_NS;
	m->limit = METER_LIMIT_UNSET;
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
	vec_for_each(p, &m->panels) {
		table_reader_free(p->reader);
		strlist_done(&p->by);
		free(p->fields);
	}
	vec_done(&m->panels);
	session_done(&m->session);
	strlist_done(&m->by);
	strbuf_done(&m->text);
	strbuf_done(&m->out);
	strbuf_done(&m->note);
	strbuf_done(&m->filter);
}

static struct panel *panel_last(struct meter *m)
{
	return m->panels.len ? &m->panels.at[m->panels.len - 1] : NULL;
}

static struct panel *panel_add(struct meter *m, size_t probe)
{
	struct panel *p = vec_add(&m->panels);

	p->asked.probe = probe;
	return p;
}

/* A word is a probe, whose parameters become options, or behind one what of it is meant. What is
 * neither is taken to be a table that was misspelt. */
static int meter_word(struct opt_set *set, const char *word, void *ctx, struct err *e)
{
	struct meter *m = ctx;
	struct panel *last = panel_last(m);
	bool has_room = last && !last->what;
	int err;

	if (has_room &&
	    m->ops->is_part(m->session.probes.at[last->asked.probe].probe->decl, word)) {
		last->what = word;
		return 0;
	}
	err = session_word(set, word, &m->session, e);
	if (err == -ENOENT && has_room && !strchr(word, '/')) {
		err_clear(e);
		last->what = word;
		return 0;
	}
	if (!err)
		panel_add(m, m->session.probes.len - 1);
	return err;
}

static size_t probe_index(const struct meter *m, const char *name)
{
	size_t i = 0;

	while (i < m->session.probes.len && !str_eq(m->session.probes.at[i].probe->name, name))
		i++;
	return i;
}

int meter_add(struct meter *m, const char *name, const struct view *view, struct err *e)
{
	size_t probe = probe_index(m, name);
	struct opt_set unused = { 0 };
	int err = 0;

	if (probe == m->session.probes.len)
		err = session_word(&unused, name, &m->session, e);
	opt_set_done(&unused);
	if (!err)
		panel_add(m, probe)->view = view;
	return err;
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
	/* not twice, where a timer ran it just now */
	periodics_refresh(&m->periodics, m->interval_ns / 16);
	meter_accounts(m);
	wall_refresh(&m->wall);
	symbolise_refresh(&m->session);
	vec_for_each(p, &m->panels) {
		if (!m->failed)
			meter_check(m, table_reader_read(p->reader, clock_boot_ns(), m->e));
		if (!m->failed && m->ops->read)
			m->ops->read(m, p);
	}
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

/* ---- beginning and ending ---- */

/* With several tables each is grouped by those labels that it has; alone it must have all. */
static void panel_by(struct meter *m, struct panel *p)
{
	bool choosy = m->panels.len > 1;

	for (size_t i = 0; i < m->by.len; i++)
		if (!choosy || table_label(&m->session, &p->asked, m->by.at[i]))
			strlist_add(&p->by, m->by.at[i]);
	if (!p->by.len && m->by.len && !m->may_lack_by)
		strlist_add(&p->by, m->by.at[0]); /* to be complained of */
	if (!p->by.len)
		return;
	p->asked.by = (const char *const *)p->by.at;
	p->asked.by_count = p->by.len;
}

static int panel_open(struct meter *m, struct panel *p, struct err *e)
{
	const struct probe *probe = m->session.probes.at[p->asked.probe].probe;
	struct reading *r = &p->reading;
	int err = m->ops->choose(m, p, probe, e);

	if (err)
		return err;
	panel_by(m, p);
	err = table_reader_new(&m->session, &p->asked, &p->reader, e);
	if (err)
		return err;
	r->probe = probe->name;
	r->table = p->asked.table->name;
	r->fold = table_reader_fold(p->reader);
	r->wall = &m->wall;
	r->no_header = m->no_header;
	r->colour = term_has_colour(STDOUT_FILENO);
	r->ascii = !term_has_utf8();
	r->order.only_active = meter_is_text(m);
	return m->ops->order(m, p, e);
}

static int panels_open(struct meter *m, struct err *e)
{
	int err = 0;

	if (m->panels.len > 1 && str_eq(m->format, "csv"))
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "CSV has the columns of one table: name one probe");
	for (size_t i = 0; !err && i < m->panels.len; i++)
		err = panel_open(m, &m->panels.at[i], e);
	return err;
}

/* Only for the losses; the form prints the rest. */
static int sink_start(struct meter *m, struct err *e)
{
	struct sink_options options = {
		.fd = STDOUT_FILENO,
		.cancel_fd = m->ends.cancel_fd,
		.colour = term_has_colour(STDOUT_FILENO),
		.width_cols = term_width(STDOUT_FILENO),
		.wall = &m->wall,
		.one_probe = true,
	};

	m->sink_ops = sink_find(m->format);
	return m->sink_ops->open(&options, &m->sink, e);
}

static int screen_start(struct meter *m, struct err *e)
{
	if (!meter_is_text(m) || m->once || m->scrolls || !term_is_tty(STDOUT_FILENO))
		return 0;
	return screen_new(m->loop, !m->session.child.pid, meter_key, m, &m->screen, e);
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
		err = symbolise_watch(&m->session, m->loop, e);
	for (size_t i = 0; !err && i < m->panels.len; i++)
		err = table_reader_open(m->panels.at[i].reader, e);
	if (err)
		return err;
	wall_init(&m->wall);
	vec_for_each(p, &m->panels) {
		fold_begin(p->reading.fold, clock_boot_ns());
		fold_end(p->reading.fold);
	}
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
	m->helping = m->filtering = false;
	if (m->last_shown || (on_screen && m->shown && !m->session.child.pid)) {
		meter_accounts(m);
		return;
	}
	vec_for_each(p, &m->panels) {
		if (!m->session.child.pid)
			break;
		p->reading.whole = p->reading.order.by_total = true;
		p->reading.order.only_active = false;
	}
	meter_read(m);
}

static void meter_last_words(struct meter *m)
{
	strbuf_reset(&m->out);
	vec_for_each(p, &m->panels)
		if (m->ops->end)
			m->ops->end(m, p, &m->out);
	if (meter_is_text(m))
		meter_check(m, out_write(&m->out, STDOUT_FILENO, m->ends.cancel_fd, m->e));
	if (!m->failed && !m->no_trailer)
		meter_check(m, trailer_tell(&m->tally, &m->session, m->sink_ops, m->sink, m->e));
	if (!m->failed)
		meter_check(m, m->sink_ops->flush(m->sink, m->e));
}

/* Is it a table that an earlier panel shows too? */
static bool is_repeated(const struct meter *m, const struct panel *p)
{
	vec_for_each(other, &m->panels) {
		if (other == p)
			return false;
		if (other->asked.table == p->asked.table)
			return true;
	}
	return false;
}

/* ", rows 12 of 4095" */
static char *rows_text(const struct meter *m)
{
	uint64_t rows = 0, most = 0;

	vec_for_each(p, &m->panels) {
		if (is_repeated(m, p))
			continue;
		rows += table_reader_rows(p->reader);
		most += table_reader_rows_max(p->reader);
	}
	return xasprintf(", rows %llu of %llu", (unsigned long long)rows, (unsigned long long)most);
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
	if (!m->failed)
		meter_last_words(m);
	if (m->failed)
		return m->failed;
	rows = rows_text(m);
	symbolise_note(&m->session);
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
	if (meter_form_choose(m, e) < 0)
		return -e->code;
	if (rest->has_dashes && !rest->after_count)
		return fail_as(e, EXIT_USAGE, EINVAL, "a COMMAND is expected after --");
	if (rest->has_dashes)
		err = session_command(&m->session, rest->after, e);
	if (!err)
		err = session_ready(&m->session, e);
	if (!err)
		err = panels_open(m, e);
	if (!err)
		err = session_load(&m->session, e);
	return err ? err : meter_loop(m, e);
}
