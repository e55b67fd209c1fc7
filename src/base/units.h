/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Quantities as people write them. Parsers take the whole text (blanks around it, and between the
 * number and the unit, are allowed), refuse what overflows (ERANGE) or isn't understood (EINVAL),
 * and name what was expected. Formatters write a short text and return its length. Any thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

enum { UNIT_TEXT_MAX = 32 }; /* every formatted text and its NUL fit */

/* "10ms", "1.5s", "2m", "1h30m"; ns us µs ms s m min h d. A bare number is refused but for 0. */
MUST_USE int duration_parse(const char *text, uint64_t *ret_ns, struct err *e);
/* "512", "4KiB", "10MB", "1.5G"; B, KB MB GB TB PB EB are powers of 1000, KiB ... and the bare
 * K M G T P E of 1024 ("kB" and lower case too). */
MUST_USE int bytes_parse(const char *text, uint64_t *ret_bytes, struct err *e);
/* "42", "0x2a", "10k" (SI: k M G T); no sign. */
MUST_USE int number_parse(const char *text, uint64_t *ret_value, struct err *e);
MUST_USE int signed_parse(const char *text, int64_t *ret_value, struct err *e); /* with a sign */
/* "1000/s", "10/m", "5k/min", "100" (a second), as events per hour: exact for all of them. */
MUST_USE int rate_parse(const char *text, uint64_t *ret_per_hour, struct err *e);

/* "10MiB/s", "64kB/min": bytes (with a unit that ends in B) per hour. */
MUST_USE int byte_rate_parse(const char *text, uint64_t *ret_per_hour, struct err *e);

/* Three significant digits: "1.24 ms", "12.4 ms", "124 ms"; whole ns; days from 100 h on. */
size_t duration_format(char out[static UNIT_TEXT_MAX], uint64_t ns);
/* IEC, one decimal below 100: "512 B", "4.0 KiB", "12.5 MiB", "640 GiB". */
size_t bytes_format(char out[static UNIT_TEXT_MAX], uint64_t bytes);
/* SI, three significant digits: "999", "1.24k", "12.4M". */
size_t number_format(char out[static UNIT_TEXT_MAX], uint64_t value);
/* "12.5k/s", "0.25/s": `count` in `ns`. */
size_t rate_format(char out[static UNIT_TEXT_MAX], uint64_t count, uint64_t ns);
/* "0.31 %", "12.4 %", "100 %": part of whole (0 when whole is 0). */
size_t percent_format(char out[static UNIT_TEXT_MAX], uint64_t part, uint64_t whole);

/* Exact and parsable: the largest unit that divides it: "1500us", "90s", "4KiB", "1000". For
 * defaults in help and for writing a value back. */
size_t duration_format_exact(char out[static UNIT_TEXT_MAX], uint64_t ns);
size_t bytes_format_exact(char out[static UNIT_TEXT_MAX], uint64_t bytes);
