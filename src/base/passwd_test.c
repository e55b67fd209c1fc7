/* SPDX-License-Identifier: BSD-2-Clause */
/* Users from a file of our own. */
#include "base/err.h"
#include "base/file.h"
#include "base/passwd.h"
#include "base/test.h"

#include <unistd.h>

static char users[] = "/tmp/passwd_test.XXXXXX";

static void put(const char *path, const char *text)
{
	struct err e;

	CHECK_INT(file_write(path, text, strlen(text), 0600, &e), 0);
}

static void make_file(void)
{
	int u = mkstemp(users);

	CHECK(u >= 0);
	fd_close(&u);
	put(users, "root:x:0:0:root:/root:/bin/sh\n"
		   "# a comment\n"
		   "\n"
		   "broken\n:x:5:\nno-number:x:abc:\nhuge:x:99999999999:\n+nis\n"
		   "web:x:33:33::/:/\n"
		   "web2:x:33:33::/:/\n"
		   "last:x:4294967294:1");
}

TEST(names_and_numbers_both_ways)
{
	auto_ptr(accounts) a = NULL;
	uint32_t id = 1;

	make_file();
	a = accounts_new(users);
	CHECK_STR(user_name(a, 0), "root");
	CHECK_STR(user_name(a, 33), "web");
	CHECK_STR(user_name(a, 4294967294), "last");
	CHECK_STR(user_name(a, 5), NULL);
	CHECK(user_id(a, "web2", &id));
	CHECK_INT(id, 33);
	CHECK(user_id(a, "1000", &id));
	CHECK_INT(id, 1000);
	CHECK(!user_id(a, "nobody-here", &id));
	CHECK(!user_id(a, "huge", &id));

	put(users, "new:x:33:33::/:/\n");
	accounts_refresh(a);
	CHECK_STR(user_name(a, 33), "new");
	CHECK_STR(user_name(a, 0), NULL);
	unlink(users);
	accounts_refresh(a);
	CHECK_STR(user_name(a, 33), NULL);
}

TEST(this_machine_has_root)
{
	auto_ptr(accounts) a = accounts_new(ACCOUNTS_PATH);

	CHECK_STR(user_name(a, 0), "root");
}
