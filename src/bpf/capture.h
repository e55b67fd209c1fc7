/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * libbpf's messages, kept instead of printed: they name the program or map that failed. Each warning
 * also goes to log_debug(). Inside src/bpf only; one thread.
 */
#include <stddef.h>

/* Takes libbpf's output from now on; forgets what was kept. */
void capture_begin(void);
/* What came since, a line each, without "libbpf: "; "" for nothing. Borrowed until the next begin. */
const char *capture_text(void);

enum { CAPTURE_NAME_MAX = 128 };

/* What libbpf blames. */
struct blame {
	char program[CAPTURE_NAME_MAX]; /* the first it names; "" when it isn't a program */
	char outer[CAPTURE_NAME_MAX];   /* the last: the first may be a function within it */
	char map[CAPTURE_NAME_MAX]; /* the map that could not be made, or is used but not made */
	const char
		*words; /* the line that says it, borrowed from `text`; not terminated: words_len */
	size_t words_len;
};
/* Reads the messages of a failed load. */
void capture_blame(const char *text, struct blame *ret_blame);
