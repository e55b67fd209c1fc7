/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Time. BPF stamps CLOCK_BOOTTIME; a `struct wall` turns that into wall-clock time, the one place
 * where that happens. The time zone is read once, by wall_init(). One thread per struct.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	WALL_UTC_LEN = 30,   /* "2026-11-22T02:21:03.123456789Z" */
	WALL_LOCAL_LEN = 12, /* "02:21:03.123" */
};

/* How a time is written, in the local zone unless it says otherwise. */
enum wall_form {
	WALL_USUAL,
	WALL_S,  /* 02:21:03 */
	WALL_MS, /* 02:21:03.123 */
	WALL_US,
	WALL_NS,
	WALL_DATE,  /* 2026-11-22 02:21:03.123456 */
	WALL_UTC,   /* as wall_utc() */
	WALL_EPOCH, /* 1795314063.123456789: seconds since 1970 */
	WALL_FORM_COUNT,
};

MUST_USE uint64_t clock_boot_ns(void);
MUST_USE uint64_t clock_real_ns(void);
MUST_USE uint64_t clock_mono_ns(void);

struct wall {
	int64_t offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	int64_t utc_s;     /* the second that `utc` shows */
	int64_t local_s;   /* the second that `local` shows */
	char utc[WALL_UTC_LEN + 1];
	char local[20]; /* 2026-11-22 02:21:03 */
};

/* Of this machine, now. */
void wall_init(struct wall *w);
/* Of a recording: the offset it carries. */
void wall_init_at(struct wall *w, int64_t offset_ns);
/* Reads the clocks again: once a batch of events (about 50 ns). Returns true when somebody has set
 * the clock since; the offset follows. */
bool wall_refresh(struct wall *w);

static inline uint64_t wall_real_ns(const struct wall *w, uint64_t boot_ns)
{
	return boot_ns + (uint64_t)w->offset_ns;
}
/* RFC 3339, UTC, nanoseconds. Writes WALL_UTC_LEN characters and a NUL. */
void wall_utc(struct wall *w, uint64_t boot_ns, char out[static WALL_UTC_LEN + 1]);
/* Local HH:MM:SS.mmm. */
void wall_local(struct wall *w, uint64_t boot_ns, char out[static WALL_LOCAL_LEN + 1]);
/* In any form but the usual one; the length. None is longer than WALL_UTC_LEN. */
size_t wall_text(struct wall *w, enum wall_form form, uint64_t boot_ns,
		 char out[static WALL_UTC_LEN + 1]);
MUST_USE unsigned wall_text_len(enum wall_form form);
