/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "sink/out.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static void fill(struct strbuf *b, size_t len)
{
	strbuf_pad(b, 'x', len);
}

TEST(what_was_gathered_is_written_and_forgotten)
{
	auto_close int fd = memfd_create("out", 0);
	auto_done(strbuf) b = { 0 };
	char back[8] = { 0 };
	struct err e;

	strbuf_puts(&b, "abc\n");
	CHECK_INT(out_write(&b, fd, -1, &e), 0);
	CHECK_INT(b.len, 0);
	CHECK_INT(out_write(&b, fd, -1, &e), 0);
	CHECK_INT(pread(fd, back, sizeof(back), 0), 4);
	CHECK_STR(back, "abc\n");
}

static void *reader(void *ctx)
{
	int fd = *(int *)ctx;
	char bytes[777];
	size_t all = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		all += (size_t)n;
	return (void *)all;
}

TEST(a_slow_reader_gets_everything)
{
	auto_done(strbuf) b = { 0 };
	pthread_t thread;
	struct err e;
	void *got;
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	REQUIRE(pthread_create(&thread, NULL, reader, &fds[0]) == 0);
	fill(&b, 300001);
	CHECK_INT(out_write(&b, fds[1], -1, &e), 0);
	close(fds[1]);
	pthread_join(thread, &got);
	CHECK_INT((size_t)got, 300001);
	close(fds[0]);
}

TEST(a_reader_that_went_away_is_told)
{
	auto_done(strbuf) b = { 0 };
	struct err e;
	int fds[2];

	(void)!sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	REQUIRE(pipe(fds) == 0);
	close(fds[0]);
	strbuf_puts(&b, "abc\n");
	CHECK_INT(out_write(&b, fds[1], -1, &e), -EPIPE);
	CHECK_STR(e.text, "the reader of the output has gone");
	CHECK_INT(err_exit_code(&e), EXIT_FAILED);
	close(fds[1]);
}

TEST(a_full_disk_is_told)
{
	auto_close int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	auto_done(strbuf) b = { 0 };
	struct err e;

	strbuf_puts(&b, "abc\n");
	CHECK_INT(out_write(&b, full, -1, &e), -ENOSPC);
	CHECK_STR(e.text, "write the output: No space left on device");
}

/* Nobody reads: without a way out this test would not end. */
TEST(a_blocked_output_is_given_up_when_the_end_is_asked_for)
{
	auto_close int cancel = eventfd(1, EFD_CLOEXEC);
	auto_done(strbuf) b = { 0 };
	struct err e;
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	fill(&b, 1000000);
	CHECK_INT(out_write(&b, fds[1], cancel, &e), -ETIMEDOUT);
	CHECK_HAS(e.text, "bytes are dropped");
	CHECK_INT(b.len, 0);
	close(fds[0]);
	close(fds[1]);
}

/* Slower than sonda, but it reads: it gets all, also after Ctrl-C. */
TEST(a_slow_reader_gets_everything_though_the_end_is_asked_for)
{
	auto_close int cancel = eventfd(1, EFD_CLOEXEC);
	auto_done(strbuf) b = { 0 };
	pthread_t thread;
	struct err e;
	void *got;
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	REQUIRE(pthread_create(&thread, NULL, reader, &fds[0]) == 0);
	fill(&b, 300001);
	CHECK_INT(out_write(&b, fds[1], cancel, &e), 0);
	close(fds[1]);
	pthread_join(thread, &got);
	CHECK_INT((size_t)got, 300001);
	close(fds[0]);
}

TEST(an_output_that_takes_bytes_gets_them_though_the_end_is_asked_for)
{
	auto_close int cancel = eventfd(1, EFD_CLOEXEC);
	auto_done(strbuf) b = { 0 };
	char bytes[5000];
	struct err e;
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	fill(&b, sizeof(bytes));
	CHECK_INT(out_write(&b, fds[1], cancel, &e), 0);
	CHECK_INT(read(fds[0], bytes, sizeof(bytes)), sizeof(bytes));
	close(fds[0]);
	close(fds[1]);
}
