/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda trace: events as they happen. */
#include "cmd/watch.h"

static int trace_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	return watch_run(cfg, rest, NULL, NULL, e);
}

const struct command command_trace = {
	.name = "trace",
	.synopsis = "PROBE... [FILTERS] [OPTIONS] [-- COMMAND ...]",
	.help = "events as they happen",
	.text = "Shows the events of one or more probes, a line each, until Ctrl-C, --count, --for, or the\n"
		"end of COMMAND, whose exit status is passed on. COMMAND is ended with it (SIGTERM, or the\n"
		"signal that ends sonda) when it still runs then. A probe may have a condition of its own:\n"
		"'fs.open: err != 0'. `sonda list PROBE` shows its fields and parameters. On a terminal too\n"
		"narrow for all columns those that matter less are left out, and it says which (of several\n"
		"probes with -v). JSON objects with a member 'lost' are no events: rows of what was lost, and at\n"
		"the end the counts, with what is not seen here and why.",
	.examples =
		"sonda trace fs.open --comm nginx\tfiles that nginx opens\n"
		"sonda trace 'fs.open: err == ENOENT' --user www-data\twhat it looks for in vain\n"
		"sonda trace fs.open --path '/etc/**' -o json\twho opens what in /etc\n"
		"sonda trace process.exec -- make\tevery command of a build\n"
		"sonda trace net.dns --where 'result != noerror'\tqueries that failed\n",
	.cfg_size = sizeof(struct watch),
	.init = watch_init,
	.options = watch_options,
	.run = trace_run,
	.done = watch_done,
};
