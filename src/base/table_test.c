/* SPDX-License-Identifier: BSD-2-Clause */
/* Text tables: alignment, growth, what a terminal cuts and a pipe doesn't. */
#include "base/str.h"
#include "base/table.h"
#include "base/test.h"

static const struct table_col cols[] = {
	{ .title = "PID", .align = TABLE_RIGHT, .min_cols = 5 },
	{ .title = "COMM", .max_cols = 8 },
	{ .title = "PATH" },
};

static void row(struct table *t, const char *pid, const char *comm, const char *path)
{
	table_str(t, pid);
	table_str(t, comm);
	table_str(t, path);
	table_row_end(t);
}

TEST(columns_line_up)
{
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(cols, 3, (struct table_style){ 0 }, &out);

	row(t, "1", "init", "/etc/a");
	row(t, "1234567", "b", "/etc/b");
	row(t, "2", "c", "");
	CHECK_STR(strbuf_str(&out), "");
	table_settle(t);
	CHECK_STR(out.s, "    PID  COMM  PATH\n"
			 "      1  init  /etc/a\n"
			 "1234567  b     /etc/b\n"
			 "      2  c\n");
}

TEST(widths_settle_then_only_grow)
{
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(cols, 3, (struct table_style){ .settle_rows = 1 }, &out);

	row(t, "1", "a", "x");
	row(t, "1", "longer", "x");
	row(t, "1", "a", "x");
	row(t, "1", "longer than that", "x");
	row(t, "1", "a", "x");
	CHECK_STR(out.s, "  PID  COMM  PATH\n"
			 "    1  a     x\n"
			 "    1  longer  x\n"
			 "    1  a       x\n"
			 "    1  longer than that  x\n"
			 "    1  a         x\n");
}

TEST(a_terminal_is_never_overrun)
{
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(
		cols, 3, (struct table_style){ .width_cols = 24, .settle_rows = 1 }, &out);

	row(t, "1", "a", "/a/long/path/that/has/no/room");
	row(t, "1", "longer than that", "/b");
	row(t, "123456789", "\u4e2d\u6587\u4e2d\u6587\u4e2d", "/c");
	CHECK_STR(out.s, "  PID  COMM  PATH\n"
			 "    1  a     /a/long/pa\u2026\n"
			 "    1  lon\u2026  /b\n"
			 "1234\u2026  \u4e2d\u2026   /c\n");
}

TEST(numbers_give_way_last)
{
	static const struct table_col three[] = { { .title = "COMM", .min_cols = 14 },
						  { .title = "B/S", .align = TABLE_RIGHT },
						  { .title = "N", .align = TABLE_RIGHT } };
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(three, 3, (struct table_style){ .width_cols = 20 }, &out);

	table_str(t, "python3.11");
	table_str(t, "20.2 MiB");
	table_str(t, "7");
	table_row_end(t);
	table_settle(t);
	CHECK_STR(out.s, "COMM          B/S  N\n"
			 "python\u2026  20.2 MiB  7\n");
}

TEST(a_path_keeps_its_end)
{
	static const struct table_col two[] = { { .title = "PATH", .keep_end = true },
						{ .title = "N", .align = TABLE_RIGHT } };
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(two, 2, (struct table_style){ .width_cols = 14 }, &out);
	static const char *const paths[] = { "/var/log/nginx/access.log", "/short",
					     "/\u4e2d\u6587\u4e2d\u6587\u4e2d/\u6587" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		table_str(t, paths[i]);
		table_str(t, "7");
		table_row_end(t);
	}
	table_settle(t);
	CHECK_STR(out.s, "PATH         N\n"
			 "\u2026access.log  7\n"
			 "/short       7\n"
			 "\u2026\u4e2d\u6587\u4e2d/\u6587   7\n");
}

TEST(narrow_terminals_end_lines_early)
{
	for (unsigned width_cols = 1; width_cols < 40; width_cols++) {
		auto_done(strbuf) out = { 0 };
		auto_ptr(table) t =
			table_new(cols, 3, (struct table_style){ .width_cols = width_cols }, &out);

		row(t, "1234567", "a name that is long", "/a/long/path");
		row(t, "1", "", "x");
		table_settle(t);
		for (const char *line = out.s, *end; *line; line = end + 1) {
			end = strchr(line, '\n');
			CHECK(utf8_width(line, (size_t)(end - line)) <= width_cols);
			CHECK(end == line || end[-1] != ' ');
		}
	}
}

TEST(wide_columns_give_way_on_a_terminal)
{
	static const struct table_col two[] = { { .title = "A" }, { .title = "B" } };
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(two, 2, (struct table_style){ .width_cols = 30 }, &out);

	table_str(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	table_str(t, "bbbbbbbbbbbbbbbbbbbbbbbbb");
	table_row_end(t);
	table_settle(t);
	CHECK_STR(out.s, "A             B\n"
			 "aaaaaaaaaaa\u2026  bbbbbbbbbbbbbbb\u2026\n");
}

TEST(last_column_may_be_numbers)
{
	static const struct table_col two[] = { { .title = "A" },
						{ .title = "BYTES", .align = TABLE_RIGHT } };
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(two, 2, (struct table_style){ .no_header = true }, &out);

	table_str(t, "a");
	table_cellf(t, TERM_PLAIN, "%d", 7);
	table_row_end(t);
	table_str(t, "bb");
	table_str(t, "1234567");
	table_row_end(t);
	table_settle(t);
	CHECK_STR(out.s, "a         7\nbb  1234567\n");
}

TEST(cells_are_escaped_and_coloured_only_when_asked)
{
	for (int colour = 0; colour < 2; colour++) {
		auto_done(strbuf) out = { 0 };
		auto_ptr(table) t =
			table_new(cols, 2, (struct table_style){ .colour = colour }, &out);

		table_cell(t, TERM_RED, "1", 1);
		table_cell(t, TERM_PLAIN, "\033[2J", 4);
		table_row_end(t);
		table_settle(t);
		CHECK_STR(out.s, colour ? "  \033[1mPID\033[0m  \033[1mCOMM\033[0m\n"
					  "    \033[31m1\033[0m  \\x1b[2J\n"
					: "  PID  COMM\n    1  \\x1b[2J\n");
	}
}

TEST(an_empty_table_has_a_header)
{
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) t = table_new(cols, 3, (struct table_style){ 0 }, &out);

	table_settle(t);
	table_settle(t);
	CHECK_STR(out.s, "  PID  COMM  PATH\n");
}
