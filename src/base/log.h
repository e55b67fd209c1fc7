/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Diagnostics to stderr, one write(2) a line: "sonda: warning: ring: lost 3 events". Never events.
 * Below pipeline/ and agent/ only log_debug() is allowed. Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum log_level {
	LOG_LEVEL_ERROR, /* -q */
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTE,  /* the default */
	LOG_LEVEL_DEBUG, /* -v */
};

/* Shows this level and the more serious ones. */
void log_set_level(enum log_level level);
bool log_shows(enum log_level level);

/* `component` is a noun ("ring"), or NULL for none. Control characters in the text are escaped. */
void log_error(const char *component, const char *fmt, ...) PRINTF(2, 3);
void log_warn(const char *component, const char *fmt, ...) PRINTF(2, 3);
void log_note(const char *component, const char *fmt, ...) PRINTF(2, 3);
void log_debug(const char *component, const char *fmt, ...) PRINTF(2, 3);
/* A note without a component, for who is given a function to tell it by. */
void log_note_text(const char *text);

/* For what can repeat: one message an interval; the next one that passes says how many were not
 * shown. Zero-initialise one per place in the code, or use log_warn_every(). */
struct log_limit {
	_Atomic uint64_t next_ns; /* CLOCK_MONOTONIC */
	_Atomic uint64_t skipped;
};
bool log_limit_pass(struct log_limit *limit, uint64_t every_ms, uint64_t *ret_skipped);

#define log_warn_every(every_ms, component, fmt, ...)                                              \
	do {                                                                                       \
		static struct log_limit log_here;                                                  \
		uint64_t log_skipped;                                                              \
		if (!log_limit_pass(&log_here, every_ms, &log_skipped))                            \
			break;                                                                     \
		if (log_skipped)                                                                   \
			log_warn(component, fmt " (%llu more like this not shown)", ##__VA_ARGS__, \
				 (unsigned long long)log_skipped);                                 \
		else                                                                               \
			log_warn(component, fmt, ##__VA_ARGS__);                                   \
	} while (0)
