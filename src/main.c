/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda: argv to a row of the commands' table. */
#include "base/hash.h"
#include "base/str.h"
#include "cmd/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static int unknown_command(const char *name)
{
	const char *near = suggest_from(name, command_nth, NULL);
	struct err e = { 0 };

	fail_as(&e, EXIT_USAGE, ENOENT, "unknown command '%s'%s%s%s", name,
		near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
	hint(&e, "`sonda help` lists the commands");
	err_print(&e, stderr);
	return err_exit_code(&e);
}

int main(int argc, char **argv)
{
	const struct command *c;
	uint64_t seed = 0;

	/* a closed pipe is an error that is told, not the end by signal */
	sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		hash_set_seed(seed);
	if (argc < 2 || str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))
		return command_run(&command_help_, 0, argv + argc);
	if (str_eq(argv[1], "--version") || str_eq(argv[1], "-V"))
		return command_run(&command_version, 0, argv + argc);
	c = command_find(argv[1]);
	return c ? command_run(c, argc - 2, argv + 2) : unknown_command(argv[1]);
}
