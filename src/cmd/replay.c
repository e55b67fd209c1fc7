/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda replay: a recording through the same pipeline. */
#include "base/clock.h"
#include "base/log.h"
#include "cmd/command.h"
#include "filter/filter.h"
#include "pipeline/run.h"
#include "schema/kind.h"
#include "transport/recorded.h"

#include <errno.h>

struct replay {
	struct run_options run;
	const char *where;
};

/* clang-format off */
static const struct opt replay_opts[] = {
	{ "where", OPT_STR, offsetof(struct replay, where), "EXPR", "only rows for which this holds", .letter = 'w' },
};
/* clang-format on */

static void replay_options(void *cfg, struct opt_set *set)
{
	struct replay *r = cfg;

	opt_set_add(set, (struct opt_table){ .title = "Choosing",
					     .rows = replay_opts,
					     .count = ARRAY_LEN(replay_opts),
					     .cfg = r });
	run_options(&r->run, set);
	set->unknown = "a recording is filtered by --where: 'pid == 1 and time > 02:30'";
}

static void replay_done(void *cfg)
{
	run_options_done(&((struct replay *)cfg)->run);
}

/* With -v: where and when it was recorded. */
static void replay_origin(const struct recording_head *head)
{
	char utc[WALL_UTC_LEN + 1];
	struct wall wall;

	wall_init_at(&wall, head->wall_offset_ns);
	wall_utc(&wall, head->started_ns, utc);
	log_debug("replay", "recorded on %s, Linux %s, %u CPUs, from %s", head->host, head->release,
		  head->cpus, utc);
}

static int strict_failed(void)
{
	log_error(NULL, "--strict: not everything was seen");
	return EXIT_FAILED;
}

static int replay_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct replay *r = cfg;
	auto_ptr(filter) where = NULL;
	struct stream *stream = NULL;
	struct tally tally = { 0 };
	int err = 0;

	if (rest->count != 1 || rest->has_dashes)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "one recording is expected (- for standard input)");
	if (r->where && filter_parse(r->where, &where, e) < 0)
		return wrap(e, "--where");
	err = recorded_open(rest->words[0], &stream, e);
	if (err)
		return err;
	replay_origin(recorded_head(stream));
	kind_replays(stream->ops->wall_offset_ns(stream), recorded_head(stream)->started_ns);
	err = run_recorded(stream, where, &r->run, &tally, e);
	stream_free(stream);
	return !err && r->run.strict && tally.lost ? strict_failed() : err;
}

const struct command command_replay = {
	.name = "replay",
	.synopsis = "FILE [OPTIONS]",
	.help = "a recording through the same pipeline",
	.text = "Shows a recording as `sonda trace` would have shown it, with the same output formats and\n"
		"conditions. It needs neither root nor the probes.",
	.examples =
		"sonda replay night.rec -o json\tas JSON lines\n"
		"sonda replay night.rec --where 'took > 10ms' --fields time,comm,path\tslow ones\n",
	.cfg_size = sizeof(struct replay),
	.options = replay_options,
	.run = replay_run,
	.done = replay_done,
};
