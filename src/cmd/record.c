/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda record: a stream to a file. */
#include "cmd/watch.h"

#define RECORD_DEFAULT "sonda.rec"

/* clang-format off */
static const struct opt record_opts[] = {
	{ "to", OPT_STR, offsetof(struct watch, to), "FILE", "the recording (" RECORD_DEFAULT "), replaced if it exists", .letter = 't' },
};
/* clang-format on */

static void record_options(void *cfg, struct opt_set *set)
{
	struct watch *w = cfg;

	opt_set_add(set, (struct opt_table){ .title = "Recording",
					     .rows = record_opts,
					     .count = ARRAY_LEN(record_opts),
					     .cfg = cfg });
	session_options(&w->session, set);
	session_stream_options(&w->session, set);
	run_end_options(&w->run, set);
}

static int record_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct watch *w = cfg;

	return watch_run(w, rest, &sink_record, w->to ?: RECORD_DEFAULT, e);
}

const struct command command_record = {
	.name = "record",
	.synopsis = "PROBE... [--to FILE] [FILTERS] [OPTIONS] [-- COMMAND ...]",
	.help = "a stream to a file, for replay",
	.text = "Writes the events of probes to a file, compressed, with what is known of them then (names of\n"
		"users, executables, units, enums), so that `sonda replay` shows them as they were on any\n"
		"machine. What was written stays readable whenever it ends: disk full, kill -9, power.\n"
		"COMMAND is ended with it.",
	.examples =
		"sonda record process.exec net.dns --to night.rec --for 8h\twhat ran and asked overnight\n"
		"sonda replay night.rec --where 'comm == \"curl\"'\tread it, filtered\n",
	.cfg_size = sizeof(struct watch),
	.init = watch_init,
	.options = record_options,
	.run = record_run,
	.done = watch_done,
};
