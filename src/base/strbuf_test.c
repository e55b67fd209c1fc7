/* SPDX-License-Identifier: BSD-2-Clause */
/* Growable strings against what printf says. */
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/test.h"

#include <errno.h>

TEST(append_grows_and_terminates)
{
	auto_done(strbuf) b = { 0 };

	CHECK_STR(strbuf_str(&b), "");
	strbuf_append(&b, NULL, 0);
	strbuf_puts(&b, "ab");
	strbuf_putc(&b, 'c');
	strbuf_pad(&b, '.', 300);
	CHECK_INT(b.len, 303);
	CHECK_INT(strlen(b.s), 303);
	strbuf_cut(&b, 2);
	CHECK_STR(b.s, "ab");
	strbuf_cut(&b, 10);
	CHECK_STR(b.s, "ab");
	strbuf_reset(&b);
	CHECK_STR(b.s, "");
}

TEST(appendf_of_any_length)
{
	auto_done(strbuf) b = { 0 };

	for (int len = 0; len < 300; len++) {
		strbuf_reset(&b);
		strbuf_appendf(&b, "<%*s>", len, "");
		CHECK_INT(b.len, len + 2);
		CHECK_INT(b.s[b.len - 1], '>');
	}
}

static void check_number(uint64_t x)
{
	auto_done(strbuf) b = { 0 };
	char want[128];

	strbuf_u64(&b, x);
	strbuf_putc(&b, ' ');
	strbuf_s64(&b, (int64_t)x);
	strbuf_putc(&b, ' ');
	strbuf_hex(&b, x, 4);
	snprintf(want, sizeof(want), "%" PRIu64 " %" PRId64 " %04" PRIx64, x, (int64_t)x, x);
	CHECK_STR(b.s, want);
}

TEST(numbers_as_printf_writes_them)
{
	uint64_t x = 1;

	check_number(0);
	for (int i = 0; i < 20; i++, x *= 10) {
		check_number(x);
		check_number(x - 1);
		check_number(x + 1);
	}
	for (int bit = 0; bit < 64; bit++)
		check_number((1ULL << bit) | (1ULL << bit) >> 3);
	check_number(UINT64_MAX);
	check_number(INT64_MAX);
	check_number((uint64_t)INT64_MIN);
}

TEST(take_hands_over)
{
	struct strbuf b = { 0 };
	auto_free char *empty = strbuf_take(&b), *s = NULL;

	CHECK_STR(empty, "");
	strbuf_puts(&b, "x");
	s = strbuf_take(&b);
	CHECK_STR(s, "x");
	CHECK_INT(b.len, 0);
	strbuf_done(&b);
}
