/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command of the user. A socket pair is the gate: the child reads one byte before it executes, and
 * reports a failed exec by writing its errno; a successful one closes the socket.
 */
#include "pipeline/child.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

NORETURN static void child_run(int gate, pid_t parent, char **argv)
{
	sigset_t none;
	char go;
	int code;

	/* whoever ends sonda while the child waits ends the child */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(gate, &go, 1) != 1)
		_exit(127);
	prctl(PR_SET_PDEATHSIG, 0);
	execvp(argv[0], argv);
	code = errno;
	if (write(gate, &code, sizeof(code)) < 0)
		_exit(127);
	_exit(127);
}

int child_fork(struct child *c, char **argv, struct err *e)
{
	pid_t parent = getpid();
	int pair[2];

	assert(argv && argv[0]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(e, errno, "socketpair: %s", strerror(errno));
	c->pid = fork();
	if (c->pid == 0)
		child_run(pair[1], parent, argv);
	close(pair[1]);
	c->gate = pair[0];
	if (c->pid < 0) {
		c->pid = 0;
		return fail(e, errno, "fork: %s", strerror(errno));
	}
	return 0;
}

int child_go(struct child *c, struct err *e)
{
	int code = 0;
	ssize_t n;

	if (write(c->gate, "", 1) != 1)
		return fail(e, errno, "start the command: %s", strerror(errno));
	do {
		n = read(c->gate, &code, sizeof(code));
	} while (n < 0 && errno == EINTR);
	fd_close(&c->gate);
	if (n == sizeof(code))
		return fail_as(e, EXIT_USAGE, code, "execute the command: %s", strerror(code));
	return 0;
}

bool child_reap(struct child *c)
{
	if (c->pid && !c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
		c->ended = true;
	return c->ended;
}

int child_exit_code(const struct child *c)
{
	return WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

void child_kill(const struct child *c, int signo)
{
	if (c->pid && !c->ended)
		kill(c->pid, signo);
}

void child_done(struct child *c)
{
	if (c->pid && !c->ended && c->gate >= 0) {
		fd_close(&c->gate); /* its read ends: it exits */
		waitpid(c->pid, &c->status, 0);
	}
	fd_close(&c->gate);
	c->pid = 0;
}
