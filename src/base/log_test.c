/* SPDX-License-Identifier: BSD-2-Clause */
/* Diagnostics: form, levels, the limit on repeats. Reads back what goes to stderr. */
#include "base/log.h"
#include "base/test.h"

#include <unistd.h>

static FILE *caught;
static int stderr_before;

static void catch_begin(void)
{
	caught = tmpfile();
	stderr_before = dup(STDERR_FILENO);
	dup2(fileno(caught), STDERR_FILENO);
}

static const char *catch_end(void)
{
	static char text[4096];
	size_t len;

	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	rewind(caught);
	len = fread(text, 1, sizeof(text) - 1, caught);
	text[len] = '\0';
	fclose(caught);
	return text;
}

TEST(lines_have_level_and_component)
{
	catch_begin();
	log_error("load", "no %s", "BTF");
	log_warn("ring", "lost %u", 3u);
	log_note(NULL, "two\nlines");
	log_debug("x", "not shown");
	CHECK_STR(catch_end(), "sonda: error: load: no BTF\nsonda: warning: ring: lost 3\n"
			       "sonda: two\\x0alines\n");
}

TEST(levels_choose)
{
	catch_begin();
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("a", "no");
	log_error("a", "yes");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("a", "yes");
	log_set_level(LOG_LEVEL_NOTE);
	CHECK_STR(catch_end(), "sonda: error: a: yes\nsonda: debug: a: yes\n");
}

TEST(repeats_are_counted)
{
	struct log_limit limit = { 0 };
	uint64_t skipped = 99;

	CHECK(log_limit_pass(&limit, 3600 * 1000, &skipped));
	CHECK_U64(skipped, 0);
	CHECK(!log_limit_pass(&limit, 3600 * 1000, &skipped));
	CHECK(!log_limit_pass(&limit, 3600 * 1000, &skipped));
	limit.next_ns = 0; /* an hour later */
	CHECK(log_limit_pass(&limit, 3600 * 1000, &skipped));
	CHECK_U64(skipped, 2);
	catch_begin();
	for (int i = 0; i < 5; i++)
		log_warn_every(3600 * 1000, "ring", "lost %d", i);
	CHECK_STR(catch_end(), "sonda: warning: ring: lost 0\n");
}
