/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The terminal: is it one, how wide, are colours welcome. Asked once where it matters. */
#include <stdbool.h>

#include "base/attr.h"

struct strbuf;

enum term_style {
	TERM_PLAIN,
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
	TERM_BLUE,
	TERM_CYAN,
	TERM_STYLE_COUNT,
};

MUST_USE bool term_is_tty(int fd);
/* Columns by ioctl, else 0: not a terminal, so nothing is cut. */
MUST_USE unsigned term_width(int fd);
/* A terminal, NO_COLOR unset or empty, TERM set and not "dumb". */
MUST_USE bool term_has_colour(int fd);

/* May texts hold more than ASCII? Not where the locale of the environment is another than a UTF-8 one
 * ("C" too); where it says nothing they may. */
MUST_USE bool term_has_utf8(void);

/* The sequences that start a style (TERM_PLAIN: "") and end any. */
MUST_USE const char *term_style_on(enum term_style style);
MUST_USE const char *term_style_off(enum term_style style);
