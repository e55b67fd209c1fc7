/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command of the user. A socket pair is the gate: the child reads one byte before it executes, and
 * reports a failed exec by writing its errno; a successful one closes the socket.
 */
#include "pipeline/child.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

NORETURN static void child_run(int gate, pid_t parent, const char *path, char **argv)
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
	execv(path, argv);
	code = errno;
	if (write(gate, &code, sizeof(code)) < 0)
		_exit(127);
	_exit(127);
}

/* Where the command is, as a shell would find it: looked up here, so that the child makes one exec and
 * no failed ones, which would be seen. */
static int command_path(const char *name, char path[static PATH_MAX], struct err *e)
{
	const char *dirs = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";

	if (strchr(name, '/')) {
		str_copy(path, PATH_MAX, name);
		return 0;
	}
	for (size_t len; *dirs; dirs += len + (dirs[len] == ':')) {
		len = strcspn(dirs, ":");
		if (len && str_format(path, PATH_MAX, "%.*s/%s", (int)len, dirs, name) &&
		    !access(path, X_OK))
			return 0;
	}
	return fail_as(e, EXIT_USAGE, ENOENT, "there is no command '%s'", name);
}

int child_fork(struct child *c, char **argv, struct err *e)
{
	char path[PATH_MAX];
	pid_t parent = getpid();
	int pair[2];

	assert(argv && argv[0]);
	if (command_path(argv[0], path, e) < 0)
		return -e->code;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(e, errno, "socketpair: %s", strerror(errno));
	c->pid = fork();
	if (c->pid == 0) {
		close(pair[0]); /* or it would never see that sonda gave up */
		child_run(pair[1], parent, path, argv);
	}
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
	if (n == sizeof(code)) {
		/* it ends now: nobody shall find it running */
		c->ended = waitpid(c->pid, &c->status, 0) == c->pid;
		return fail_as(e, EXIT_USAGE, code, "execute the command: %s", strerror(code));
	}
	return 0;
}

bool child_reap(struct child *c)
{
	if (c->pid && !c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
		c->ended = true;
	return c->ended;
}

bool child_runs(struct child *c)
{
	return c->pid && c->gate < 0 && !child_reap(c);
}

int child_exit_code(const struct child *c)
{
	return WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

void child_kill(struct child *c, int signo)
{
	if (c->pid && !c->ended)
		c->told = !kill(c->pid, signo);
}

bool child_ends(struct child *c, int within_ms)
{
	auto_close int fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	struct pollfd end = { .fd = fd, .events = POLLIN };

	(void)poll(&end, 1, within_ms);
	return child_reap(c);
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
