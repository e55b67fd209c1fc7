/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda replay: a recording through the same pipeline. */
#include "cmd/command.h"
#include "filter/filter.h"
#include "pipeline/run.h"
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
}

static void replay_done(void *cfg)
{
	run_options_done(&((struct replay *)cfg)->run);
}

static int replay_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct replay *r = cfg;
	auto_ptr(filter) where = NULL;
	struct stream *stream = NULL;
	struct tally tally;
	int err = 0;

	if (rest->count != 1 || rest->has_dashes)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "one recording is expected (- for standard input)");
	if (r->where && filter_parse(r->where, &where, e) < 0)
		return wrap(e, "--where");
	err = recorded_open(rest->words[0], &stream, e);
	if (err)
		return err;
	err = run_recorded(stream, where, &r->run, &tally, e);
	stream_free(stream);
	return err;
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
