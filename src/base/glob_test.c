/* SPDX-License-Identifier: BSD-2-Clause */
/* Globs: a table of what matches and what doesn't. */
#include "base/err.h"
#include "base/glob.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>

static const struct {
	const char *pattern, *text;
	bool matches;
} cases[] = {
	{ "", "", true },
	{ "", "a", false },
	{ "abc", "abc", true },
	{ "abc", "abcd", false },
	{ "a?c", "abc", true },
	{ "a?c", "a/c", false },
	{ "?", "", false },
	{ "*", "", true },
	{ "*", "abc", true },
	{ "*", "a/b", false },
	{ "/etc/*", "/etc/passwd", true },
	{ "/etc/*", "/etc/ssh/key", false },
	{ "/etc/**", "/etc/ssh/key", true },
	{ "/etc/**", "/etc", false },
	{ "/etc/**", "/etc/", true },
	{ "**/key", "key", true },
	{ "**/key", "a/b/key", true },
	{ "**/key", "monkey", false },
	{ "a**/b", "ab", false },
	{ "a**/b", "ax/b", true },
	{ "{*,}**/b", "xb", false },
	{ "/a/**/z", "/a/z", true },
	{ "/a/**/z", "/a/b/c/z", true },
	{ "/a/**/z", "/az", false },
	{ "/a/***", "/a/b/c", true },
	{ "a*b*c", "aXbXbc", true },
	{ "*.c", "x.c", true },
	{ "*.c", "x.cc", false },
	{ "[a-c]x", "bx", true },
	{ "[a-c]x", "dx", false },
	{ "[!a-c]x", "dx", true },
	{ "[^a-c]x", "ax", false },
	{ "[!a]", "/", false },
	{ "[]x]", "]", true },
	{ "[a-]", "-", true },
	{ "[\\]]", "]", true },
	{ "[a", "[a", true },
	{ "{a,b}", "a", true },
	{ "{a,b}", "b", true },
	{ "{a,b}", "c", false },
	{ "{a,b}", "", false },
	{ "{a,}x", "x", true },
	{ "x.{c,h}", "x.h", true },
	{ "{a,b}{c,d}", "bd", true },
	{ "{a,b}{c,d}", "ab", false },
	{ "{a{b,c},d}e", "ace", true },
	{ "{a{b,c},d}e", "de", true },
	{ "{a{b,c},d}e", "ae", false },
	{ "{*,x}y", "aay", true },
	{ "*{.c,.h}", "dir.c.h", true },
	{ "/{usr,opt}/**/bin/*", "/opt/a/b/bin/x", true },
	{ "{/a/**,b}/c", "/a/x/y/c", true },
	{ "{**/a,b}", "x/a", true },
	{ "{[,],b}", ",", true },
	{ "{a,b", "{a,b", true },
	{ "a}", "a}", true },
	{ "{}", "", true },
	{ "{x}", "x", true },
	{ "\\*", "*", true },
	{ "\\*", "a", false },
	{ "\\{a,b\\}", "{a,b}", true },
	{ "a\\", "a\\", true },
	{ "\u00e9*", "\u00e9t\u00e9", true },
};

TEST(table_of_matches)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (glob_matches(cases[i].pattern, cases[i].text) != cases[i].matches)
			TEST_FAULT("'%s' %s '%s'", cases[i].pattern,
				   cases[i].matches ? "should match" : "should not match",
				   cases[i].text);
}

TEST(hostile_patterns_end)
{
	char pattern[GLOB_LEN_MAX + 2], text[4096];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CHECK(!glob_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
	CHECK(!glob_matches("{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}b",
			    text));
	for (size_t i = 0; i < GLOB_LEN_MAX; i++)
		pattern[i] = '{';
	pattern[GLOB_LEN_MAX] = '\0';
	CHECK(!glob_matches(pattern, text));
	for (size_t i = 0; i < GLOB_LEN_MAX; i++)
		pattern[i] = i % 2 ? '}' : '{';
	CHECK(!glob_matches(pattern, text));
	memset(pattern, 'a', GLOB_LEN_MAX + 1);
	pattern[GLOB_LEN_MAX + 1] = '\0';
	CHECK(!glob_matches(pattern, text));
}

TEST(check_refuses_slips)
{
	struct err e;

	CHECK_INT(glob_check("/a/{b,[c-d]}/**", &e), 0);
	CHECK_INT(glob_check("a[b", &e), -EINVAL);
	CHECK_HAS(e.text, "'[' without ']'");
	CHECK_INT(glob_check("a{b", &e), -EINVAL);
	CHECK_INT(glob_check("a\\", &e), -EINVAL);
}
