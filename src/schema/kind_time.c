/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: points in time. The wall clock's offset is the machine's, or that of a recording. */
#include "schema/kinds.h"

#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

static _Atomic bool replaying;
static _Atomic int64_t replay_offset_ns;

void kind_replays(int64_t wall_offset_ns)
{
	atomic_store(&replay_offset_ns, wall_offset_ns);
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

/* Nanoseconds since boot, or a time span since then: "10m". */
int boottime_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	return duration_kind_parse(f, text, ret_value, e);
}
