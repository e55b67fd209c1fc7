/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sonda cost: what every BPF program on the machine costs, sonda's and others'. Run-time statistics are
 * switched on for a window only: they cost more than an empty program does.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/table.h"
#include "base/units.h"
#include "bpf/programs.h"
#include "cmd/command.h"
#include "cmd/form.h"
#include "pipeline/session.h"
#include "sink/out.h"
#include "transport/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct cost {
	struct session session; /* of the probes that are tried */
	const char *format;
	uint64_t for_ns;
	bool all;
};

#define WINDOW_NS 1000000000ULL
#define DRAIN_MS  10

/* clang-format off */
static const struct opt cost_opts[] = {
	{ "for",    OPT_DURATION, offsetof(struct cost, for_ns), "TIME",   "length of the window (1s)", .letter = 'd', .least = 1000000, .most = 3600000000000 },
	{ "all",    OPT_BOOL,     offsetof(struct cost, all),    NULL,     "programs that did not run too", .letter = 'a' },
	{ "output", OPT_STR,      offsetof(struct cost, format), "FORMAT", "text, json or csv", .letter = 'o' },
};
/* clang-format on */

static void cost_init(void *cfg)
{
	struct cost *c = cfg;

	session_init(&c->session);
	c->for_ns = WINDOW_NS;
}

static void cost_options(void *cfg, struct opt_set *set)
{
	struct cost *c = cfg;

	opt_set_add(set, (struct opt_table){ .title = "Measuring",
					     .rows = cost_opts,
					     .count = ARRAY_LEN(cost_opts),
					     .cfg = c });
	session_options(&c->session, set);
	session_stream_options(&c->session, set);
}

static void cost_done(void *cfg)
{
	session_done(&((struct cost *)cfg)->session);
}

/* One program over the window. */
struct line {
	const struct program *program;
	uint64_t runs, run_ns; /* without the clock's own time */
	uint64_t missed;
};

struct measured {
	struct programs before, after;
	uint64_t window_ns, floor_ns;
	struct line *lines;
	size_t count;
};

static int line_compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->run_ns != y->run_ns)
		return x->run_ns < y->run_ns ? 1 : -1;
	return x->runs < y->runs ? 1 : x->runs > y->runs ? -1 : 0;
}

static int row_ignore(const struct row *r, void *ctx)
{
	(void)r, (void)ctx;
	return 0;
}

/* Waits for the window's end, and reads the rings meanwhile: a full one would look cheap. Ctrl-C ends
 * it early, and what was measured is shown. */
static void window_wait(uint64_t ns, struct stream *stream)
{
	uint64_t end = clock_mono_ns() + ns, now;
	sigset_t ends, before;
	auto_close int fd = -1;
	struct pollfd p;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &before);
	fd = signalfd(-1, &ends, SFD_CLOEXEC);
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	while (!p.revents && (now = clock_mono_ns()) < end) {
		struct err ignored;
		uint64_t left_ms = (end - now) / 1000000 + 1;

		if (stream && stream->ops->drain(stream, UINT_MAX, row_ignore, NULL, &ignored) < 0)
			err_clear(&ignored);
		poll(&p, 1, (int)min(left_ms, stream ? (uint64_t)DRAIN_MS : (uint64_t)INT_MAX));
	}
	if (p.revents & POLLIN) {
		struct signalfd_siginfo taken;

		if (read(fd, &taken, sizeof(taken)) < 0)
			log_debug("cost", "read a signal: %s", strerror(errno));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static int measure(const struct cost *c, struct stream *stream, struct measured *m, struct err *e)
{
	auto_close int stats_fd = -1;
	uint64_t begin;
	int err = programs_stats_floor(&m->floor_ns, e);

	if (!err)
		err = programs_stats_on(&stats_fd, e);
	if (!err)
		err = programs_read(&m->before, e);
	if (err)
		return err;
	begin = clock_mono_ns();
	window_wait(c->for_ns, stream);
	m->window_ns = clock_mono_ns() - begin;
	return programs_read(&m->after, e);
}

static void lines_make(const struct cost *c, struct measured *m)
{
	m->lines = xcalloc(m->after.len + 1, sizeof(*m->lines));
	for (size_t i = 0; i < m->after.len; i++) {
		const struct program *now = &m->after.at[i];
		const struct program *was = programs_find(&m->before, now->id);
		struct line line = { .program = now };
		uint64_t clock_ns;

		line.runs = now->run_count - (was ? was->run_count : 0);
		line.run_ns = now->run_time_ns - (was ? was->run_time_ns : 0);
		line.missed = now->recursion_misses - (was ? was->recursion_misses : 0);
		clock_ns = line.runs * m->floor_ns;
		line.run_ns -= min(line.run_ns, clock_ns);
		if (line.runs || c->all || now->holder.pid == getpid())
			m->lines[m->count++] = line;
	}
	qsort(m->lines, m->count, sizeof(*m->lines), line_compare);
}

static void line_text(struct table *t, const struct measured *m, const struct line *l)
{
	char runs[UNIT_TEXT_MAX], took[UNIT_TEXT_MAX], share[UNIT_TEXT_MAX], code[UNIT_TEXT_MAX],
		maps[UNIT_TEXT_MAX];

	rate_format(runs, l->runs, m->window_ns);
	duration_format(took, l->runs ? l->run_ns / l->runs : 0);
	percent_format(share, l->run_ns, m->window_ns);
	bytes_format(code, l->program->code_bytes);
	bytes_format(maps, l->program->map_bytes);
	table_cellf(t, TERM_PLAIN, "%u", l->program->id);
	table_str(t, l->program->type);
	table_str(t, l->program->name);
	table_str(t, runs);
	table_str(t, l->runs ? took : "-");
	table_str(t, share);
	table_str(t, code);
	table_str(t, maps);
	table_cellf(t, l->missed ? TERM_RED : TERM_PLAIN, "%llu", (unsigned long long)l->missed);
	if (l->program->holder.pid)
		table_cellf(t, TERM_PLAIN, "%s(%d)", l->program->holder.comm,
			    (int)l->program->holder.pid);
	else
		table_cell(t, TERM_DIM, "-", 1);
	table_row_end(t);
}

static void measured_text(struct strbuf *out, const struct measured *m)
{
	static const struct table_col cols[] = {
		{ "ID", TABLE_RIGHT },
		{ "TYPE" },
		{ "PROGRAM" },
		{ "RUNS", TABLE_RIGHT },
		{ "TIME", TABLE_RIGHT },
		{ "CPU", TABLE_RIGHT },
		{ "CODE", TABLE_RIGHT },
		{ "MAPS", TABLE_RIGHT },
		{ "MISSED", TABLE_RIGHT },
		{ "HELD BY" },
	};
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO),
				     .colour = term_has_colour(STDOUT_FILENO),
				     .settle_rows = 10000 };
	auto_ptr(table) t = table_new(cols, ARRAY_LEN(cols), style, out);
	char share[UNIT_TEXT_MAX], window[UNIT_TEXT_MAX], maps[UNIT_TEXT_MAX];
	uint64_t run_ns = 0;

	for (size_t i = 0; i < m->count; i++) {
		line_text(t, m, &m->lines[i]);
		run_ns += m->lines[i].run_ns;
	}
	table_settle(t);
	percent_format(share, run_ns, m->window_ns);
	duration_format(window, m->window_ns);
	bytes_format(maps, m->after.map_bytes);
	strbuf_appendf(
		out,
		"\n%zu programs of %zu ran within %s: %s of one CPU; %u maps hold %s. TIME is per run, "
		"less the %llu ns of\nthe measuring clock; what attaching costs the hooked code "
		"comes on top.\n",
		m->count, m->after.len, window, share, m->after.map_count, maps,
		(unsigned long long)m->floor_ns);
}

static void json_number(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_u64(j, n);
}

static void measured_json(struct strbuf *out, const struct measured *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct line *l = &m->lines[i];
		struct json j = { .out = out };

		json_obj_begin(&j);
		json_number(&j, "id", l->program->id);
		json_key(&j, "type");
		json_str(&j, l->program->type);
		json_key(&j, "program");
		json_str(&j, l->program->name);
		json_number(&j, "window_ns", m->window_ns);
		json_number(&j, "runs", l->runs);
		json_number(&j, "run_ns", l->run_ns);
		json_key(&j, "cpu_percent");
		json_double(&j,
			    m->window_ns ? 100.0 * (double)l->run_ns / (double)m->window_ns : 0);
		json_number(&j, "missed", l->missed);
		json_number(&j, "verified_insns", l->program->insns);
		json_number(&j, "code_bytes", l->program->code_bytes);
		json_number(&j, "map_bytes", l->program->map_bytes);
		json_number(&j, "pid", (uint64_t)l->program->holder.pid);
		json_key(&j, "comm");
		json_str(&j, l->program->holder.comm);
		json_obj_end(&j);
		json_line_end(&j);
	}
}

static const char csv_columns[] =
	"id,type,program,window_ns,runs,run_ns,cpu_percent,missed,verified_insns,code_bytes,"
	"map_bytes,pid,comm";

static int cost_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct cost *c = cfg;
	struct measured m = { 0 };
	struct stream *stream = NULL;
	struct strbuf out = { 0 };
	enum form form;
	int err = 0;

	if (form_choose(c->format, &form, e) < 0)
		return -e->code;
	if (rest->has_dashes)
		return fail_as(e, EXIT_USAGE, EINVAL, "cost follows no COMMAND");
	if (c->session.probes.len)
		err = session_load(&c->session, e);
	if (!err && c->session.probes.len)
		err = session_stream(&c->session, &stream, e);
	if (!err)
		err = measure(c, stream, &m, e);
	if (!err) {
		lines_make(c, &m);
		if (form == FORM_TEXT)
			measured_text(&out, &m);
		else
			measured_json(&out, &m);
		if (form == FORM_CSV)
			err = form_csv(&out, csv_columns, false, e);
	}
	if (!err)
		err = out_write(&out, STDOUT_FILENO, -1, e);
	stream_free(stream);
	free(m.lines);
	programs_done(&m.before);
	programs_done(&m.after);
	strbuf_done(&out);
	return err;
}

const struct command command_cost = {
	.name = "cost",
	.synopsis = "[PROBE...] [--for TIME] [OPTIONS]",
	.help = "what every BPF program on the machine costs",
	.text = "Switches the kernel's statistics of BPF programs on for a window, and shows runs a second, time\n"
		"per run, share of one CPU and memory of each program that ran, sonda's and others'. With\n"
		"probes: loads them for the window, so that their cost is known before they stay on.",
	.examples = "sonda cost --for 5s\twhat runs now\n"
		    "sonda cost fs.open net.tcp\twhat these would cost on this machine\n",
	.cfg_size = sizeof(struct cost),
	.init = cost_init,
	.options = cost_options,
	.run = cost_run,
	.done = cost_done,
};
