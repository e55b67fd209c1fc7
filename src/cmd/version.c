/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda version. */
#include "cmd/command.h"

static int version_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	(void)cfg, (void)rest, (void)e;
	puts("sonda " SONDA_VERSION);
	return EXIT_OK;
}

const struct command command_version = {
	.name = "version",
	.synopsis = "",
	.help = "the version",
	.run = version_run,
};
