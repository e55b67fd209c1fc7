/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * execs: for each line "COUNT" on stdin, starts so many programs, one after the other (this one, with
 * an argument that makes it leave at once), and prints the count.
 */
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int exec_once(char *self)
{
	char leave[] = "leave";
	char *argv[] = { self, leave, NULL };
	pid_t pid;

	return posix_spawn(&pid, self, NULL, NULL, argv, environ) || waitpid(pid, NULL, 0) < 0;
}

int main(int argc, char **argv)
{
	unsigned count;

	if (argc > 1)
		return 0;
	while (scanf("%u", &count) == 1) {
		for (unsigned i = 0; i < count; i++)
			if (exec_once(argv[0]))
				return perror(argv[0]), 1;
		printf("%u\n", count);
		fflush(stdout);
	}
	return 0;
}
