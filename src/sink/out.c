/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing with a way out. */
#include "sink/out.h"

#include "base/err.h"
#include "base/strbuf.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 1: `fd` takes bytes; 0: the end has been asked for first. */
static int out_wait(int fd, int cancel_fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLOUT },
				{ .fd = cancel_fd, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return 1; /* let write() say what is wrong */
	return fds[0].revents || !fds[1].revents;
}

/* Files and devices that are no terminal never block for long; what may must be written in pieces
 * that poll() vouches for. */
static size_t out_piece(int fd, size_t len)
{
	struct stat st;

	if (!fstat(fd, &st) &&
	    (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd))))
		return len;
	return len < PIPE_BUF ? len : PIPE_BUF;
}

static int out_failed(int code, struct err *e)
{
	if (code == EPIPE)
		return fail(e, EPIPE, "the reader of the output has gone");
	return fail(e, code, "write the output: %s", strerror(code));
}

int out_write(struct strbuf *b, int fd, int cancel_fd, struct err *e)
{
	size_t done = 0, piece = b->len ? out_piece(fd, b->len) : 0;
	ssize_t n;
	int err = 0;

	while (!err && done < b->len && out_wait(fd, cancel_fd)) {
		n = write(fd, b->s + done, b->len - done < piece ? b->len - done : piece);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			err = out_failed(errno, e);
	}
	strbuf_reset(b);
	return err;
}
