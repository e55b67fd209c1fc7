/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "symbols/lines.h"

static struct maps_line map_of(const char *line)
{
	struct maps_line l = { 0 };

	CHECK(maps_line_parse(line, strlen(line), &l));
	return l;
}

TEST(a_line_of_maps)
{
	struct maps_line l = map_of("7f12a0000000-7f12a0021000 r-xp 00001000 fe:01 4242       "
				    "            /usr/lib/a b.so (deleted)");

	CHECK_U64(l.start, 0x7f12a0000000);
	CHECK_U64(l.end, 0x7f12a0021000);
	CHECK_U64(l.offset, 0x1000);
	CHECK(l.executable);
	CHECK_INT(l.major, 0xfe);
	CHECK_INT(l.minor, 1);
	CHECK_U64(l.inode, 4242);
	CHECK_INT(l.path_len, strlen("/usr/lib/a b.so (deleted)"));
	CHECK(!memcmp(l.path, "/usr/lib/a b.so (deleted)", l.path_len));
}

TEST(lines_of_maps_without_a_file)
{
	CHECK_INT(map_of("7f12a0000000-7f12a0021000 rw-p 00000000 00:00 0 ").path_len, 0);
	CHECK(!map_of("7f12a0000000-7f12a0021000 rw-p 00000000 00:00 0").executable);
	CHECK_INT(map_of("7ffe0000-7ffe1000 r-xp 00000000 00:00 0   [vdso]").path_len, 6);
}

TEST(what_is_no_line_of_maps)
{
	static const char *const lines[] = {
		"",
		"-",
		"7f12",
		"7f12-",
		"7f12-7f11 r-xp 0 0:0 0",
		"7f12-7f13 r-x",
		"7f12-7f13 r-xp 0",
		"7f12-7f13 r-xp 0 0:0 ",
		"7f12-7f13 r-xp 0 00 1 /x",
		"11112222333344445-11112222333344446 r-xp 0 0:0 0",
	};
	struct maps_line l;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		CHECK(!maps_line_parse(lines[i], strlen(lines[i]), &l));
}

TEST(lines_of_kallsyms)
{
	const char *core = "ffffffff81000000 T _text",
		   *module = "ffffffffc0a01000 t xfs_read\t[xfs]";
	struct symbol_line l;

	REQUIRE(kallsyms_line_parse(core, strlen(core), &l));
	CHECK_U64(l.start, 0xffffffff81000000);
	CHECK_INT(l.type, 'T');
	CHECK(l.name_len == 5 && !memcmp(l.name, "_text", 5) && !l.module_len);
	REQUIRE(kallsyms_line_parse(module, strlen(module), &l));
	CHECK(l.name_len == 8 && !memcmp(l.name, "xfs_read", 8));
	CHECK(l.module_len == 3 && !memcmp(l.module, "xfs", 3));
	CHECK(!kallsyms_line_parse("ffffffff81000000 T ", 19, &l));
	CHECK(!kallsyms_line_parse("ffffffff81000000", 16, &l));
	CHECK(!kallsyms_line_parse("zzz T name", 10, &l));
}

TEST(lines_of_perf_maps)
{
	const char *plain = "7f1200 1a0 Interpreter: run", *prefixed = "0x7f1200 0x10 f";
	struct symbol_line l;

	REQUIRE(perfmap_line_parse(plain, strlen(plain), &l));
	CHECK_U64(l.start, 0x7f1200);
	CHECK_U64(l.size, 0x1a0);
	CHECK(l.name_len == 16 && !memcmp(l.name, "Interpreter: run", 16));
	CHECK(perfmap_line_parse(prefixed, strlen(prefixed), &l) && l.size == 16);
	CHECK(!perfmap_line_parse("7f1200 0 nothing", 16, &l));
	CHECK(!perfmap_line_parse("7f1200 10 ", 10, &l));
	CHECK(!perfmap_line_parse("7f1200", 6, &l));
	CHECK(!perfmap_line_parse("", 0, &l));
}

TEST(lines_of_a_text)
{
	const char *text = "one\n\ntwo", *at = text, *line;
	size_t len;

	REQUIRE(line_next(&at, text + 8, &line, &len) && len == 3);
	REQUIRE(line_next(&at, text + 8, &line, &len) && len == 0);
	REQUIRE(line_next(&at, text + 8, &line, &len) && len == 3 && *line == 't');
	CHECK(!line_next(&at, text + 8, &line, &len));
}
