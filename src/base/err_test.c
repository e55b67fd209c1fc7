/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors: codes, context, truncation, exit codes, what is printed. */
#include "base/err.h"
#include "base/test.h"

#include <errno.h>

TEST(fail_sets_and_wrap_prefixes)
{
	struct err e;

	CHECK_INT(fail(&e, ENOENT, "open '%s'", "x"), -ENOENT);
	CHECK_STR(e.text, "open 'x'");
	CHECK_STR(e.hint, "");
	CHECK_INT(wrap(&e, "policy '%s'", "web"), -ENOENT);
	CHECK_STR(e.text, "policy 'web': open 'x'");
	CHECK_INT(hint(&e, "create it"), -ENOENT);
	CHECK_STR(e.hint, "create it");
	fail(&e, EIO, "again");
	CHECK_STR(e.hint, "");
}

TEST(fail_without_a_code_is_still_an_error)
{
	struct err e;

	CHECK_INT(fail(&e, 0, "x"), -EINVAL);
	CHECK_INT(fail(&e, -EIO, "x"), -EINVAL);
}

TEST(fail_may_quote_its_own_text)
{
	struct err e;

	fail(&e, EIO, "inner");
	fail(&e, e.code, "outer (%s)", e.text);
	CHECK_STR(e.text, "outer (inner)");
}

TEST(long_texts_are_cut_at_a_character)
{
	char text[2000];
	struct err e;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fail(&e, EIO, "%s", text);
	CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
	CHECK_STR(e.text + sizeof(e.text) - 4, "...");
	wrap(&e, "front");
	CHECK_INT(strncmp(e.text, "front: xxx", 10), 0);
	CHECK_STR(e.text + sizeof(e.text) - 4, "...");
	for (size_t i = 0; i + 1 < sizeof(text) - 1; i += 2)
		memcpy(text + i, "\u00e9", 2);
	fail(&e, EIO, "x%s", text);
	CHECK_INT((unsigned char)e.text[strlen(e.text) - 4],
		  0xa9); /* a whole e acute, then "..." */
	hint(&e, "%s", text);
	CHECK(strlen(e.hint) < sizeof(e.hint));
}

TEST(exit_codes)
{
	struct err e = { 0 };

	CHECK_INT(err_exit_code(&e), EXIT_OK);
	fail(&e, EIO, "x");
	CHECK_INT(err_exit_code(&e), 1);
	fail(&e, EPERM, "x");
	CHECK_INT(err_exit_code(&e), 3);
	fail(&e, EACCES, "x");
	CHECK_INT(err_exit_code(&e), 3);
	CHECK_INT(fail_as(&e, EXIT_KERNEL, EPERM, "x"), -EPERM);
	wrap(&e, "y");
	CHECK_INT(err_exit_code(&e), 4);
	err_clear(&e);
	CHECK_INT(err_exit_code(&e), EXIT_OK);
}

TEST(print_is_safe_for_a_terminal)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct err e;

	fail(&e, EIO, "file 'a\033[31m\\d'");
	hint(&e, "do this");
	err_print(&e, out);
	fclose(out);
	CHECK_STR(text, "sonda: file 'a\\x1b[31m\\d'\nsonda: hint: do this\n");
	free(text);
}
