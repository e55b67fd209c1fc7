/* SPDX-License-Identifier: BSD-2-Clause */
/* What the terminal is and can do. */
#include "base/term.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const style_on[] = {
	[TERM_PLAIN] = "",        [TERM_BOLD] = "\033[1m",   [TERM_DIM] = "\033[2m",
	[TERM_RED] = "\033[31m",  [TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m",
	[TERM_BLUE] = "\033[34m", [TERM_CYAN] = "\033[36m",
};
static_assert(ARRAY_LEN(style_on) == TERM_STYLE_COUNT, "a sequence for each style");

bool term_is_tty(int fd)
{
	return isatty(fd) == 1;
}

unsigned term_width(int fd)
{
	struct winsize size = { 0 };

	if (!term_is_tty(fd))
		return 0;
	/* A terminal that doesn't say (a serial line) is taken to be the usual one. */
	return ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col ? 80 : size.ws_col;
}

bool term_has_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return term_is_tty(fd) && !(no && *no) && term && *term && strcmp(term, "dumb");
}

bool term_has_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *locale = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !(locale && *locale); i++)
		locale = getenv(names[i]);
	return !locale || !*locale || strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
}

const char *term_style_on(enum term_style style)
{
	assert((unsigned)style < TERM_STYLE_COUNT);
	return style_on[style];
}

const char *term_style_off(enum term_style style)
{
	return style == TERM_PLAIN ? "" : "\033[0m";
}
