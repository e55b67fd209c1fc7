/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: points in time. The wall clock's offset is the machine's, or that of a recording. */
#include "schema/kinds.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define NS_PER_SECOND 1000000000ULL

static _Atomic bool replaying;
static _Atomic int64_t replay_offset_ns;
static _Atomic uint64_t replay_started_ns;

void kind_replays(int64_t wall_offset_ns, uint64_t started_ns)
{
	atomic_store(&replay_offset_ns, wall_offset_ns);
	atomic_store(&replay_started_ns, started_ns);
	atomic_store(&replaying, true);
}

bool kind_is_replaying(void)
{
	return atomic_load_explicit(&replaying, memory_order_relaxed);
}

/* CLOCK_REALTIME for a CLOCK_BOOTTIME. */
static uint64_t real_ns(uint64_t boot_ns)
{
	static _Thread_local struct wall here;
	static _Thread_local bool ready;

	if (kind_is_replaying())
		return boot_ns + (uint64_t)atomic_load(&replay_offset_ns);
	if (!ready)
		wall_init(&here);
	ready = true;
	return wall_real_ns(&here, boot_ns);
}

/* "2026-11-22 02:21:03" on the local clock. */
static void local_text(struct strbuf *out, uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	char text[32];
	struct tm tm;

	if (!localtime_r(&seconds, &tm))
		return;
	strbuf_append(out, text, strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm));
}

void boottime_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type == VALUE_DOUBLE)
		plain_text(out, f, v);
	else if (!v.u64)
		strbuf_putc(out, '-');
	else
		local_text(out, real_ns(v.u64));
}

void time_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type == VALUE_DOUBLE)
		plain_text(out, f, v);
	else
		local_text(out, v.u64);
}

void time_json(struct json *out, const struct field *f, struct value v)
{
	static _Thread_local struct wall unix_time;
	static _Thread_local bool ready;
	char text[WALL_UTC_LEN + 1];

	if (v.type == VALUE_DOUBLE) {
		plain_json(out, f, v);
		return;
	}
	if (!ready)
		wall_init_at(&unix_time, 0);
	ready = true;
	wall_utc(&unix_time, v.u64, text);
	json_str(out, text);
}

/* What a date may look like, without fraction and Z (UTC). */
static const struct {
	const char *form;
	bool is_day; /* of that day */
} moments[] = {
	{ "%Y-%m-%dT%H:%M:%S", false }, { "%Y-%m-%d %H:%M:%S", false }, { "%Y-%m-%d %H:%M", false },
	{ "%Y-%m-%d", false },          { "%H:%M:%S", true },           { "%H:%M", true },
};

/* Local midnight of the day that times without a date belong to, or an hour of it. */
static struct tm today(void)
{
	uint64_t ns =
		real_ns(kind_is_replaying() ? atomic_load(&replay_started_ns) : clock_boot_ns());
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	struct tm tm = { 0 };

	localtime_r(&seconds, &tm);
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	return tm;
}

/* ".123" */
static uint64_t fraction_ns(const char **text)
{
	uint64_t ns = 0, unit = NS_PER_SECOND / 10;

	if (**text != '.')
		return 0;
	for (++*text; **text >= '0' && **text <= '9'; ++*text, unit /= 10)
		ns += (uint64_t)(**text - '0') * unit;
	return ns;
}

static bool moment_parse(const char *text, uint64_t *ret_boot_ns)
{
	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		struct tm tm = { 0 };
		const char *end;
		uint64_t ns;
		bool is_utc;

		if (moments[i].is_day)
			tm = today();
		end = strptime(text, moments[i].form, &tm);
		if (!end)
			continue;
		ns = fraction_ns(&end);
		is_utc = *end == 'Z' && !moments[i].is_day;
		if (end[is_utc])
			continue;
		tm.tm_isdst = -1;
		ns += (uint64_t)(is_utc ? timegm(&tm) : mktime(&tm)) * NS_PER_SECOND;
		/* what was before the boot is before everything */
		*ret_boot_ns = ns - min(ns, real_ns(0));
		return true;
	}
	return false;
}

/* A date or a time of day; nanoseconds since boot, or a time span since then: "10m". */
int boottime_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	uint64_t ns;

	if (moment_parse(text, &ns)) {
		*ret_value = value_u64(ns);
		return 0;
	}
	if (duration_kind_parse(f, text, ret_value, e) == 0)
		return 0;
	return fail(e, EINVAL, "'%s' is no time: 02:30, '2026-11-22 02:30:00' or 10m since boot",
		    text);
}
