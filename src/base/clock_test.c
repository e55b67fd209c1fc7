/* SPDX-License-Identifier: BSD-2-Clause */
/* Wall-clock text from boot time, with known answers. */
#include "base/clock.h"
#include "base/test.h"

#include <time.h>

#define S 1000000000ULL

TEST(utc_text)
{
	char out[WALL_UTC_LEN + 1];
	struct wall w;

	wall_init_at(&w, (int64_t)(1795314063ULL * S)); /* date -ud @1795314063 */
	wall_utc(&w, 123456789, out);
	CHECK_STR(out, "2026-11-22T02:21:03.123456789Z");
	wall_utc(&w, 123456790, out);
	CHECK_STR(out, "2026-11-22T02:21:03.123456790Z");
	wall_utc(&w, S, out);
	CHECK_STR(out, "2026-11-22T02:21:04.000000000Z");
	wall_utc(&w, 999999999, out);
	CHECK_STR(out, "2026-11-22T02:21:03.999999999Z");
	wall_init_at(&w, (int64_t)(951782400ULL * S)); /* a leap day */
	wall_utc(&w, 0, out);
	CHECK_STR(out, "2000-02-29T00:00:00.000000000Z");
}

TEST(local_text_follows_the_zone_of_the_start)
{
	char out[WALL_LOCAL_LEN + 1];
	struct wall w;

	setenv("TZ", "XXX-5:30", 1);
	wall_init_at(&w, (int64_t)(1795314063ULL * S));
	setenv("TZ", "UTC", 1); /* too late to matter */
	wall_local(&w, 999999999, out);
	CHECK_STR(out, "07:51:03.999");
	wall_local(&w, S, out);
	CHECK_STR(out, "07:51:04.000");
	tzset();
}

TEST(forms_of_a_time)
{
	static const char *const forms[WALL_FORM_COUNT] = {
		[WALL_S] = "07:51:03",
		[WALL_MS] = "07:51:03.123",
		[WALL_US] = "07:51:03.123456",
		[WALL_NS] = "07:51:03.123456789",
		[WALL_DATE] = "2026-11-22 07:51:03.123456",
		[WALL_UTC] = "2026-11-22T02:21:03.123456789Z",
		[WALL_EPOCH] = "1795314063.123456789",
	};
	char out[WALL_UTC_LEN + 1];
	struct wall w;

	setenv("TZ", "XXX-5:30", 1);
	wall_init_at(&w, (int64_t)(1795314063ULL * S));
	for (enum wall_form f = WALL_USUAL + 1; f < WALL_FORM_COUNT; f++) {
		CHECK_INT(wall_text(&w, f, 123456789, out), strlen(forms[f]));
		CHECK_STR(out, forms[f]);
		CHECK_INT(wall_text_len(f), strlen(forms[f]));
	}
	setenv("TZ", "UTC", 1);
	tzset();
}

TEST(now_lies_between_two_readings)
{
	struct wall w;
	uint64_t before_ns = clock_real_ns(), real_ns;

	wall_init(&w);
	real_ns = wall_real_ns(&w, clock_boot_ns());
	CHECK(real_ns + 1000000 >= before_ns);
	CHECK(real_ns <= clock_real_ns() + 1000000);
	CHECK(!wall_refresh(&w));
}

TEST(a_set_clock_is_noticed)
{
	struct wall w, now;

	wall_init(&w);
	now = w;
	w.offset_ns += 3600 * (int64_t)S; /* as if the clock had been set back an hour since */
	CHECK(wall_refresh(&w));
	CHECK(w.offset_ns - now.offset_ns < 1000000 && now.offset_ns - w.offset_ns < 1000000);
	CHECK(!wall_refresh(&w));
}
