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

/* Once the end has been asked for, a reader that is merely slow gets this long. */
#define PATIENCE_MS 500

/* 1: `fd` takes bytes (or write() will say what is wrong); 0: it doesn't, and the end has been asked
 * for. */
static int out_wait(int fd, int cancel_fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLOUT },
				{ .fd = cancel_fd, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return 1;
	return fds[0].revents || poll(fds, 1, PATIENCE_MS) != 0;
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

	while (!err && done < b->len) {
		if (!out_wait(fd, cancel_fd)) {
			err = fail(e, ETIMEDOUT,
				   "nobody reads the output: its last %zu bytes are dropped",
				   b->len - done);
			break;
		}
		n = write(fd, b->s + done, b->len - done < piece ? b->len - done : piece);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			err = out_failed(errno, e);
	}
	strbuf_reset(b);
	return err;
}
