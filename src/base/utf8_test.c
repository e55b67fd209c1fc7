/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8 and the escapes. */
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/test.h"
#include "base/utf8.h"

static bool is_valid(const char *s, size_t len)
{
	uint32_t code;

	for (unsigned n; len; s += n, len -= n) {
		n = utf8_next(s, len, &code);
		if (!n)
			return false;
	}
	return true;
}

TEST(valid_and_invalid)
{
	static const char *const good[] = {
		"", "a", "\u00e9", "\u20ac", "\U0001f600", "\U0010ffff"
	};
	static const char *const bad[] = {
		"\x80",             /* continuation alone */
		"\xc3",             /* cut short */
		"\xc0\x80",         /* overlong */
		"\xe0\x80\xaf",     /* overlong */
		"\xed\xa0\x80",     /* surrogate */
		"\xf4\x90\x80\x80", /* above U+10FFFF */
		"\xf8\x88\x80\x80\x80",
		"\xff",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(is_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!is_valid(bad[i], strlen(bad[i])));
	CHECK(!is_valid("\u20ac", 2));
}

TEST(widths)
{
	unsigned cols;

	CHECK_INT(utf8_width("abc", 3), 3);
	CHECK_INT(utf8_width("\u00e9", 2), 1);
	CHECK_INT(utf8_width("e\u0301", 3), 1);
	CHECK_INT(utf8_width("\u4e2d\u6587", 6), 4);
	CHECK_INT(utf8_width("\xff\xfe", 2), 2);
	CHECK_INT(utf8_fit("\u4e2d\u6587", 6, 3, &cols), 3);
	CHECK_INT(cols, 2);
	CHECK_INT(utf8_fit("abc", 3, 2, &cols), 2);
	CHECK_INT(utf8_fit("abc", 3, 9, &cols), 3);
}

static void check_json(const char *bytes, size_t len, const char *want)
{
	auto_done(strbuf) b = { 0 };

	json_escape(&b, bytes, len);
	CHECK_STR(strbuf_str(&b), want);
}

TEST(json_escapes_so_that_the_bytes_come_back)
{
	check_json("plain", 5, "plain");
	check_json("", 0, "");
	check_json("a\"b\\c", 5, "a\\\"b\\\\c");
	check_json("\b\t\n\f\r\x01\x1f", 7, "\\b\\t\\n\\f\\r\\u0001\\u001f");
	check_json("\0x", 2, "\\u0000x");
	check_json("\x7f", 1, "\x7f");
	check_json("\u20ac\u00e9", 5, "\u20ac\u00e9");
	check_json("a\xff\xc3", 3, "a\\udcff\\udcc3");
	check_json("\xed\xa0\x80", 3, "\\udced\\udca0\\udc80");
	check_json("\xc3(", 2, "\\udcc3(");
}

static void check_text(const char *bytes, const char *want)
{
	auto_done(strbuf) b = { 0 };

	text_escape(&b, bytes, strlen(bytes));
	CHECK_STR(strbuf_str(&b), want);
	CHECK_INT(text_is_plain(bytes, strlen(bytes)), !strcmp(bytes, want));
}

TEST(text_cannot_steer_a_terminal)
{
	check_text("plain \u20ac \u4e2d", "plain \u20ac \u4e2d");
	check_text("a\033[2Jb", "a\\x1b[2Jb");
	check_text("\n\r\t\x7f", "\\x0a\\x0d\\x09\\x7f");
	check_text("\xc2\x9b"
		   "31m",
		   "\\xc2\\x9b31m"); /* C1 CSI in UTF-8 */
	check_text("\x9b", "\\x9b");
	check_text("\u202e"
		   "gpj.exe",
		   "\\xe2\\x80\\xaegpj.exe");
	check_text("c:\\x41", "c:\\\\x41");
}
