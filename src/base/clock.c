/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks, and boot time to wall-clock text. The text of the current second is kept. */
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	STEP_NS = 50 * 1000, /* less than this between two readings is the noise of reading */
	READINGS = 3,
};
#define NS_PER_S 1000000000ULL

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The real time between two readings of boot time; *ret_width_ns says how far these lie apart. */
static int64_t offset_read(uint64_t *ret_width_ns)
{
	uint64_t before_ns = clock_boot_ns(), real_ns = clock_real_ns(), after_ns = clock_boot_ns();

	*ret_width_ns = after_ns - before_ns;
	return (int64_t)(real_ns - before_ns - *ret_width_ns / 2);
}

/* The narrowest of a few readings: an interrupt in between widens one. */
static int64_t offset_best(void)
{
	uint64_t width_ns, best_width_ns = UINT64_MAX;
	int64_t offset_ns, best_ns = 0;

	for (int i = 0; i < READINGS; i++) {
		offset_ns = offset_read(&width_ns);
		if (width_ns >= best_width_ns)
			continue;
		best_width_ns = width_ns;
		best_ns = offset_ns;
	}
	return best_ns;
}

static bool is_step(int64_t a_ns, int64_t b_ns)
{
	return a_ns - b_ns > STEP_NS || b_ns - a_ns > STEP_NS;
}

void wall_init_at(struct wall *w, int64_t offset_ns)
{
	assert(w);
	tzset();
	*w = (struct wall){ .offset_ns = offset_ns, .utc_s = INT64_MIN, .local_s = INT64_MIN };
}

void wall_init(struct wall *w)
{
	wall_init_at(w, offset_best());
}

bool wall_refresh(struct wall *w)
{
	uint64_t width_ns;
	int64_t offset_ns = offset_read(&width_ns);

	if (likely(!is_step(offset_ns, w->offset_ns)))
		return false;
	offset_ns = offset_best();
	if (!is_step(offset_ns, w->offset_ns))
		return false;
	w->offset_ns = offset_ns;
	return true;
}

static void put_digits(char *to, uint32_t value, unsigned count)
{
	for (; count-- > 0; value /= 10)
		to[count] = (char)('0' + value % 10);
}

void wall_utc(struct wall *w, uint64_t boot_ns, char out[static WALL_UTC_LEN + 1])
{
	uint64_t real_ns = wall_real_ns(w, boot_ns);
	time_t second = (time_t)(real_ns / NS_PER_S);
	struct tm tm;

	if (second != w->utc_s) {
		gmtime_r(&second, &tm);
		strftime(w->utc, sizeof(w->utc), "%Y-%m-%dT%H:%M:%S.000000000Z", &tm);
		w->utc_s = second;
	}
	memcpy(out, w->utc, sizeof(w->utc));
	put_digits(out + 20, (uint32_t)(real_ns % NS_PER_S), 9);
}

/* Of the local forms: where in "2026-11-22 02:21:03" it begins, and digits of the fraction. */
static const struct {
	unsigned begin, digits;
} local_forms[WALL_FORM_COUNT] = {
	[WALL_S] = { 11, 0 },  [WALL_MS] = { 11, 3 },  [WALL_US] = { 11, 6 },
	[WALL_NS] = { 11, 9 }, [WALL_DATE] = { 0, 6 },
};

static void local_refresh(struct wall *w, time_t second)
{
	struct tm tm;

	if (second == w->local_s)
		return;
	localtime_r(&second, &tm);
	strftime(w->local, sizeof(w->local), "%Y-%m-%d %H:%M:%S", &tm);
	w->local_s = second;
}

static void put_local(struct wall *w, enum wall_form form, uint64_t real_ns, char *out)
{
	unsigned begin = local_forms[form].begin, digits = local_forms[form].digits;
	uint32_t fraction = (uint32_t)(real_ns % NS_PER_S);
	size_t len = sizeof(w->local) - 1 - begin;

	local_refresh(w, (time_t)(real_ns / NS_PER_S));
	memcpy(out, w->local + begin, len + 1);
	if (!digits)
		return;
	for (unsigned i = digits; i < 9; i++)
		fraction /= 10;
	out[len] = '.';
	put_digits(out + len + 1, fraction, digits);
	out[len + 1 + digits] = '\0';
}

void wall_local(struct wall *w, uint64_t boot_ns, char out[static WALL_LOCAL_LEN + 1])
{
	put_local(w, WALL_MS, wall_real_ns(w, boot_ns), out);
}

unsigned wall_text_len(enum wall_form form)
{
	unsigned digits = local_forms[form].digits;

	if (form == WALL_UTC)
		return WALL_UTC_LEN;
	if (form == WALL_EPOCH)
		return sizeof("1795314063.123456789") - 1;
	return (unsigned)sizeof("2026-11-22 02:21:03") - 1 - local_forms[form].begin + digits +
	       !!digits;
}

size_t wall_text(struct wall *w, enum wall_form form, uint64_t boot_ns,
		 char out[static WALL_UTC_LEN + 1])
{
	uint64_t real_ns = wall_real_ns(w, boot_ns);

	assert(form != WALL_USUAL && form < WALL_FORM_COUNT);
	if (form == WALL_UTC)
		wall_utc(w, boot_ns, out);
	else if (form == WALL_EPOCH)
		snprintf(out, WALL_UTC_LEN + 1, "%llu.%09llu",
			 (unsigned long long)(real_ns / NS_PER_S),
			 (unsigned long long)(real_ns % NS_PER_S));
	else
		put_local(w, form, real_ns, out);
	return strlen(out);
}
