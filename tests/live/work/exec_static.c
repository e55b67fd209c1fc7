/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A static program that forks and executes at once: the strings it passes lie on pages that nobody
 * has touched. Prints the pid of the child.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	static char *const argv[] = { "/bin/true", NULL };
	static char *const envp[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve("/bin/true", argv, envp);
		_exit(127);
	}
	printf("%d\n", (int)pid);
	return pid < 0 || waitpid(pid, NULL, 0) < 0;
}
