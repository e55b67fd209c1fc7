/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of errno and signal numbers. */
#include "base/names.h"
#include "base/test.h"

#include <errno.h>
#include <signal.h>

TEST(errno_both_ways)
{
	size_t count = 0;

	CHECK_STR(errno_name(2), "ENOENT");
	CHECK_STR(errno_name(-2), "ENOENT");
	CHECK_STR(errno_name(EAGAIN), "EAGAIN");
	CHECK_STR(errno_name(512), "ERESTARTSYS");
	CHECK_STR(errno_name(0), NULL);
	CHECK_STR(errno_name(520), NULL);
	CHECK_STR(errno_name(100000), NULL);
	CHECK_STR(errno_name((-2147483647 - 1)), NULL);
	CHECK_INT(errno_number("enoent"), 2);
	CHECK_INT(errno_number("EWOULDBLOCK"), EAGAIN);
	CHECK_INT(errno_number("ENOTSUP"), EOPNOTSUPP);
	CHECK_INT(errno_number("ENOPE"), -1);
	for (const char *name; (name = errno_nth(NULL, count)); count++)
		CHECK_STR(errno_name(errno_number(name)), name);
	CHECK(count > 130);
}

/* Every number that the C library knows has a name here. */
TEST(no_errno_is_missing)
{
	for (int code = 1; code < 134; code++)
		if (!strstr(strerror(code), "Unknown error") && !errno_name(code))
			TEST_FAULT("%d (%s) has no name", code, strerror(code));
}

TEST(signals_both_ways)
{
	char out[SIGNAL_NAME_MAX], again[SIGNAL_NAME_MAX];

	CHECK_STR(signal_name(SIGTERM, out), "SIGTERM");
	CHECK_STR(signal_name(9, out), "SIGKILL");
	CHECK_STR(signal_name(SIGRTMIN, out), "SIGRTMIN");
	CHECK_STR(signal_name(SIGRTMIN + 3, out), "SIGRTMIN+3");
	CHECK_STR(signal_name(32, out), "SIG32");
	CHECK_STR(signal_name(0, out), "SIG0");
	CHECK_INT(signal_number("TERM"), SIGTERM);
	CHECK_INT(signal_number("sigterm"), SIGTERM);
	CHECK_INT(signal_number("15"), 15);
	CHECK_INT(signal_number("SIGCLD"), SIGCHLD);
	CHECK_INT(signal_number("RTMAX-1"), SIGRTMAX - 1);
	CHECK_INT(signal_number("SIGRTMAX"), SIGRTMAX);
	CHECK_INT(signal_number("SIGRTMIN+99"), -1);
	CHECK_INT(signal_number("SIGRTMINE"), -1);
	CHECK_INT(signal_number("SIGNOPE"), -1);
	CHECK_INT(signal_number("SIG"), -1);
	CHECK_INT(signal_number("0"), -1);
	CHECK_INT(signal_number("999999999999"), -1);
	CHECK_INT(signal_number("A name that is far too long"), -1);
	for (int signo = 1; signo <= SIGRTMAX; signo++)
		CHECK_STR(signal_name(signal_number(signal_name(signo, out)), again), out);
}
