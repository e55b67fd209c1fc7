/* SPDX-License-Identifier: BSD-2-Clause */
/* Quantities: what is understood, what is refused, what is written. */
#include "base/err.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/units.h"

#include <errno.h>

enum { MS = 1000 * 1000 };
#define S 1000000000ULL

typedef int parse_fn(const char *, uint64_t *, struct err *);

static void check_parse(parse_fn *parse, const char *text, uint64_t want)
{
	struct err e = { 0 };
	uint64_t got = 77;

	if (parse(text, &got, &e) < 0)
		TEST_FAULT("'%s' was refused: %s", text, e.text);
	else if (got != want)
		TEST_FAULT("'%s' is %" PRIu64 ", not %" PRIu64, text, got, want);
}

static void check_refused(parse_fn *parse, const char *text, int code, const char *part)
{
	struct err e = { 0 };
	uint64_t got = 77;

	CHECK_INT(parse(text, &got, &e), -code);
	CHECK_U64(got, 77);
	CHECK_HAS(e.text, part);
}

TEST(durations_in)
{
	check_parse(duration_parse, "10ms", 10 * MS);
	check_parse(duration_parse, "1.5s", 1500 * (uint64_t)MS);
	check_parse(duration_parse, " 2 m ", 120 * S);
	check_parse(duration_parse, "5min", 300 * S);
	check_parse(duration_parse, "1h30m", 5400 * S);
	check_parse(duration_parse, "1d", 86400 * S);
	check_parse(duration_parse, "7ns", 7);
	check_parse(duration_parse, "7us", 7000);
	check_parse(duration_parse, "7\u00b5s", 7000);
	check_parse(duration_parse, "7\u03bcs", 7000);
	check_parse(duration_parse, "0", 0);
	check_parse(duration_parse, "0.000000001s", 1);
	check_refused(duration_parse, "10", EINVAL,
		      "'10' is not a duration: expected a number and");
	check_refused(duration_parse, "", EINVAL, "not a duration");
	check_refused(duration_parse, "ms", EINVAL, "not a duration");
	check_refused(duration_parse, "-1ms", EINVAL, "not a duration");
	check_refused(duration_parse, "1.ms", EINVAL, "not a duration");
	check_refused(duration_parse, ".5s", EINVAL, "not a duration");
	check_refused(duration_parse, "1x", EINVAL, "not a duration");
	check_refused(duration_parse, "10MS", EINVAL, "not a duration");
	check_refused(duration_parse, "1ms,", EINVAL, "not a duration");
	check_refused(duration_parse, "1.5ns", EINVAL, "finer");
	check_refused(duration_parse, "300000d", ERANGE, "too large");
	check_refused(duration_parse, "200000d200000d", ERANGE, "too large");
	check_refused(duration_parse, "99999999999999999999ns", EINVAL, "not a duration");
}

TEST(sizes_in)
{
	check_parse(bytes_parse, "512", 512);
	check_parse(bytes_parse, "4KiB", 4096);
	check_parse(bytes_parse, "4k", 4096);
	check_parse(bytes_parse, "4 kB", 4000);
	check_parse(bytes_parse, "10MB", 10000000);
	check_parse(bytes_parse, "1.5G", 3ULL << 29);
	check_parse(bytes_parse, "15EiB", 15ULL << 60);
	check_refused(bytes_parse, "16EiB", ERANGE, "too large");
	check_refused(bytes_parse, "1.3", EINVAL, "finer");
	check_refused(bytes_parse, "4 Kb/s", EINVAL, "'4 Kb/s' is not a size");
	check_refused(bytes_parse, "4k4k", EINVAL, "not a size");
}

TEST(numbers_in)
{
	int64_t s = 0;
	struct err e;

	check_parse(number_parse, "42", 42);
	check_parse(number_parse, "0x2A", 42);
	check_parse(number_parse, "10k", 10000);
	check_parse(number_parse, "18446744073709551615", UINT64_MAX);
	check_refused(number_parse, "18446744073709551616", EINVAL, "not a number");
	check_refused(number_parse, "0x10000000000000000", ERANGE, "too large");
	check_refused(number_parse, "0x", EINVAL, "not a number");
	check_refused(number_parse, "12 monkeys", EINVAL, "not a number");
	CHECK_INT(signed_parse("-9223372036854775808", &s, &e), 0);
	CHECK_INT(s, INT64_MIN);
	CHECK_INT(signed_parse("+5", &s, &e), 0);
	CHECK_INT(s, 5);
	CHECK_INT(signed_parse("9223372036854775808", &s, &e), -ERANGE);
	CHECK_INT(signed_parse("--5", &s, &e), -EINVAL);
}

TEST(rates_in)
{
	check_parse(rate_parse, "1000/s", 3600000);
	check_parse(rate_parse, "10/m", 600);
	check_parse(rate_parse, "5k / min", 300000);
	check_parse(rate_parse, "7/h", 7);
	check_parse(rate_parse, "2", 7200);
	check_refused(rate_parse, "10/fortnight", EINVAL, "'10/fortnight' is not a rate");
	check_refused(rate_parse, "x/s", EINVAL, "expected a number and one of");
	check_refused(rate_parse, "18446744073709551615/s", ERANGE, "too large");
}

#define CHECK_FORMAT(call, want)               \
	do {                                   \
		char out[UNIT_TEXT_MAX];       \
		CHECK_INT(call, strlen(want)); \
		CHECK_STR(out, want);          \
	} while (0)

TEST(durations_out)
{
	CHECK_FORMAT(duration_format(out, 0), "0 ns");
	CHECK_FORMAT(duration_format(out, 999), "999 ns");
	CHECK_FORMAT(duration_format(out, 1000), "1.00 us");
	CHECK_FORMAT(duration_format(out, 1240000), "1.24 ms");
	CHECK_FORMAT(duration_format(out, 12400000), "12.4 ms");
	CHECK_FORMAT(duration_format(out, 124000000), "124 ms");
	CHECK_FORMAT(duration_format(out, 999499999), "999 ms");
	CHECK_FORMAT(duration_format(out, 999500000), "1.00 s");
	CHECK_FORMAT(duration_format(out, 9996 * (uint64_t)MS), "10.0 s");
	CHECK_FORMAT(duration_format(out, 90 * S), "90.0 s");
	CHECK_FORMAT(duration_format(out, 100 * S), "1.67 m");
	CHECK_FORMAT(duration_format(out, 7200 * S), "2.00 h");
	CHECK_FORMAT(duration_format(out, UINT64_MAX), "213504 d");
}

TEST(sizes_out)
{
	CHECK_FORMAT(bytes_format(out, 512), "512 B");
	CHECK_FORMAT(bytes_format(out, 1023), "1023 B");
	CHECK_FORMAT(bytes_format(out, 4096), "4.0 KiB");
	CHECK_FORMAT(bytes_format(out, 13107200), "12.5 MiB");
	CHECK_FORMAT(bytes_format(out, 1048575), "1.0 MiB");
	CHECK_FORMAT(bytes_format(out, 640ULL << 30), "640 GiB");
	CHECK_FORMAT(bytes_format(out, UINT64_MAX), "16.0 EiB");
}

TEST(numbers_rates_and_shares_out)
{
	CHECK_FORMAT(number_format(out, 999), "999");
	CHECK_FORMAT(number_format(out, 1240), "1.24k");
	CHECK_FORMAT(number_format(out, 999999), "1.00M");
	CHECK_FORMAT(number_format(out, UINT64_MAX), "18.4E");
	CHECK_FORMAT(rate_format(out, 12500, S), "12.5k/s");
	CHECK_FORMAT(rate_format(out, 1, 4 * S), "0.25/s");
	CHECK_FORMAT(rate_format(out, 5, 0), "0.00/s");
	CHECK_FORMAT(percent_format(out, 31, 10000), "0.31 %");
	CHECK_FORMAT(percent_format(out, 124, 1000), "12.4 %");
	CHECK_FORMAT(percent_format(out, 1, 1), "100 %");
	CHECK_FORMAT(percent_format(out, 5, 0), "0.00 %");
}

TEST(exact_forms_parse_back)
{
	static const uint64_t values[] = { 0,      1,         999,  1500,       1000,
					   90 * S, 86400 * S, 4096, 1ULL << 40, UINT64_MAX };
	char text[UNIT_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		duration_format_exact(text, values[i]);
		check_parse(duration_parse, text, values[i]);
		bytes_format_exact(text, values[i]);
		check_parse(bytes_parse, text, values[i]);
	}
	CHECK_FORMAT(duration_format_exact(out, 1500000), "1500us");
	CHECK_FORMAT(duration_format_exact(out, 90 * S), "90s");
	CHECK_FORMAT(bytes_format_exact(out, 4096), "4KiB");
}
