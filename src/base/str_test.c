/* SPDX-License-Identifier: BSD-2-Clause */
/* Strings: prefixes, splitting, suggestions. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"

#include <errno.h>

TEST(prefix_and_suffix)
{
	CHECK(str_startswith("fs.open", "fs."));
	CHECK(!str_startswith("fs", "fs."));
	CHECK(str_endswith("x.bpf.o", ".bpf.o"));
	CHECK(!str_endswith("o", ".o"));
	CHECK_STR(str_after("--name", "--"), "name");
	CHECK_STR(str_after("name", "--"), NULL);
}

TEST(copies_are_bounded)
{
	char to[4];

	CHECK(str_copy(to, sizeof(to), "abc"));
	CHECK(!str_copy(to, sizeof(to), "abcd"));
	CHECK_STR(to, "abc");
	CHECK(str_format(to, sizeof(to), "%d", 123));
	CHECK(!str_format(to, sizeof(to), "%d", 1234));
}

static void check_split(const char *text, const char *want)
{
	auto_done(strlist) l = { 0 };
	auto_done(strbuf) b = { 0 };
	size_t count = str_split(text, &l);

	for (size_t i = 0; i < l.len; i++)
		strbuf_appendf(&b, "<%s>", l.at[i]);
	CHECK_STR(strbuf_str(&b), want);
	CHECK_INT(count, l.len);
}

TEST(split_on_commas)
{
	check_split("a,b", "<a><b>");
	check_split(" a , b b ,", "<a><b b>");
	check_split("", "");
	check_split(",, ,", "");
	check_split("*.{c,h},x", "<*.{c,h}><x>");
	check_split("[,;],x", "<[,;]><x>");
	check_split("{a,b", "<{a><b>");
	check_split("a\\,b,c", "<a\\,b><c>");
	check_split("a\\", "<a\\>");
}

TEST(distance_counts_swaps_as_one)
{
	CHECK_INT(str_distance("", ""), 0);
	CHECK_INT(str_distance("abc", "abc"), 0);
	CHECK_INT(str_distance("abc", "ABC"), 0);
	CHECK_INT(str_distance("abc", ""), 3);
	CHECK_INT(str_distance("kitten", "sitting"), 3);
	CHECK_INT(str_distance("opne", "open"), 1);
	CHECK_INT(str_distance("ca", "abc"), 3);
}

TEST(suggestions)
{
	static const char *const names[] = { "fs.open", "fs.read", "net.dns", "process.exec",
					     "json" };

	CHECK_STR(suggest("fs.opne", names, 5), "fs.open");
	CHECK_STR(suggest("opne", names, 5), "fs.open");
	CHECK_STR(suggest("proces.exec", names, 5), "process.exec");
	CHECK_STR(suggest("jsno", names, 5), "json");
	CHECK_STR(suggest("zzzzzz", names, 5), NULL);
	CHECK_STR(suggest("", names, 5), NULL);
	CHECK_STR(suggest("x", names, 5), NULL);
	CHECK_STR(suggest("anything", NULL, 0), NULL);
}

TEST(missing_names)
{
	struct strlist names = { 0 };
	struct err e = { 0 };

	strlist_add(&names, "anna");
	strlist_add(&names, "bert");
	CHECK(name_missing("user", "ana", &names, &e) < 0);
	CHECK_STR(e.text, "there is no user 'ana' (did you mean 'anna'?)");
	CHECK(name_missing("user", "zoe", &names, &e) < 0);
	CHECK_STR(e.text, "there is no user 'zoe'");
	strlist_done(&names);
}

static const char *name_nth(const void *ctx, size_t i)
{
	const char *const *names = ctx;

	return names[i];
}

TEST(unknown_names)
{
	static const char *const names[] = { "comm", "opens", NULL };
	struct err e = { 0 };

	CHECK_INT(name_unknown("column", "opnes", name_nth, names, &e), -EINVAL);
	CHECK_STR(e.text, "there is no column 'opnes' (did you mean 'opens'?)");
	CHECK_INT(err_exit_code(&e), EXIT_USAGE);
	CHECK_INT(name_unknown("label", "zzz", name_nth, names, &e), -EINVAL);
	CHECK_STR(e.text, "there is no label 'zzz': comm, opens");
}

TEST(suggest_long_names)
{
	char a[200], b[200];
	const char *names[] = { b };

	memset(a, 'a', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(a));
	b[3] = 'b';
	CHECK_STR(suggest(a, names, 1), b);
}

TEST(list_has)
{
	auto_done(strlist) l = { 0 };

	CHECK(!strlist_has(&l, "a"));
	strlist_add(&l, "a");
	strlist_add_len(&l, "bcd", 1);
	CHECK(strlist_has(&l, "a"));
	CHECK(strlist_has(&l, "b"));
	CHECK(!strlist_has(&l, "bcd"));
}

TEST(octal_escapes)
{
	static const char *const want[][2] = {
		{ "", "" },         { "a", "a" },   { "a\\040b\\134", "a b\\" },
		{ "\\04", "\\04" }, { "\\", "\\" }, { "\\089", "\\089" },
	};
	char text[16];

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		str_copy(text, sizeof(text), want[i][0]);
		str_unescape_octal(text);
		CHECK_STR(text, want[i][1]);
	}
}
