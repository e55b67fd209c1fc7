/* SPDX-License-Identifier: BSD-2-Clause */
/* Watching: what trace and record do. */
#include "cmd/watch.h"

#include "base/log.h"
#include "base/str.h"
#include "enrich/enrich.h"

#include <errno.h>

void watch_init(void *cfg)
{
	struct watch *w = cfg;

	session_init(&w->session);
	w->session.without_tables = true;
}

void watch_options(void *cfg, struct opt_set *set)
{
	struct watch *w = cfg;

	session_options(&w->session, set);
	session_stream_options(&w->session, set);
	run_options(&w->run, set);
}

void watch_done(void *cfg)
{
	struct watch *w = cfg;

	session_done(&w->session);
	run_options_done(&w->run);
}

/* --strict: partial coverage or a loss is a failure. */
static int strict_code(const struct watch *w, const struct tally *tally)
{
	struct strbuf missing = { 0 };
	bool whole;

	if (!w->run.strict)
		return EXIT_OK;
	session_coverage(&w->session, &missing);
	whole = !tally->lost && !missing.len;
	strbuf_done(&missing);
	if (!whole)
		log_error(NULL, "--strict: not everything was seen");
	return whole ? EXIT_OK : EXIT_FAILED;
}

/* Text shows no exe, args or parents unless asked; other formats show every field. */
static bool shows_processes(const struct watch *w, bool record)
{
	const char *format = w->run.format ?: "text";

	for (size_t i = 0; i < w->run.fields.len; i++)
		if (enrich_of_process(w->run.fields.at[i]))
			return true;
	return !w->run.fields.len &&
	       (record || (!str_eq(format, "text") && !str_eq(format, "null")));
}

/* Those that are taken for nobody else: see STACKS_HELD of the probe language. */
static bool shows_user_stacks(const struct watch *w, bool record)
{
	for (size_t i = 0; i < w->run.fields.len; i++)
		if (str_eq(w->run.fields.at[i], "ustack"))
			return true;
	return !w->run.fields.len && (record || str_eq(w->run.format ?: "text", "folded"));
}

/* Probes that only tell what is, or only count, have nothing to watch. */
static int events_check(const struct session *s, struct err *e)
{
	vec_for_each(w, &s->probes) {
		if (!w->probe->decl->event_count)
			return probe_lacks(w->probe, "events", e);
	}
	return 0;
}

int watch_run(struct watch *w, const struct opt_rest *rest, const struct sink_ops *sink,
	      const char *path, struct err *e)
{
	struct tally tally = { 0 };
	int err = 0, code;

	if (rest->has_dashes && !rest->after_count)
		return fail_as(e, EXIT_USAGE, EINVAL, "a COMMAND is expected after --");
	err = events_check(&w->session, e);
	if (!err && rest->has_dashes)
		err = session_command(&w->session, rest->after, e);
	w->session.wants_processes = shows_processes(w, sink != NULL);
	w->session.wants_user_stacks = shows_user_stacks(w, sink != NULL);
	if (!err)
		err = session_load(&w->session, e);
	if (!err)
		err = run_session(&w->session, &w->run, sink, path, &tally, e);
	if (err)
		return err;
	code = strict_code(w, &tally);
	if (code == EXIT_OK && w->session.child.ended)
		code = child_exit_code(&w->session.child);
	return code;
}
