/* SPDX-License-Identifier: BSD-2-Clause */
/* The terminal as a screen: ANSI sequences, and termios for keys. */
#include "cmd/screen.h"

#include "base/err.h"
#include "base/loop.h"
#include "base/strbuf.h"
#include "base/term.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define CURSOR_HIDE  "\033[?25l"
#define CURSOR_SHOW  "\033[?25h"
#define CURSOR_HOME  "\033[H"
#define CLEAR_LINE   "\033[K"
#define CLEAR_BELOW  "\033[J"
#define CLEAR_SCREEN "\033[2J"

struct screen {
	struct loop *loop;
	screen_fn *fn;
	void *ctx;
	bool keys;
	unsigned width_cols, height_rows;
};

/* Of the process, for whoever leaves it: what standard input was, and whether it is changed. */
static struct termios cooked;
static bool is_raw, is_drawn;

static void raw_enter(void)
{
	struct termios raw = cooked;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void write_all(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		return; /* nobody looks any more */
}

static void terminal_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	if (is_drawn)
		write_all(CURSOR_SHOW);
	is_raw = is_drawn = false;
}

static void terminal_begin(const struct screen *s)
{
	if (s->keys)
		raw_enter();
	write_all(CURSOR_HIDE CLEAR_SCREEN);
	is_drawn = true;
}

static void screen_measure(struct screen *s)
{
	struct winsize size = { 0 };

	s->width_cols = term_width(STDOUT_FILENO);
	s->height_rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ? 24 : size.ws_row;
}

static void on_resize(struct loop *l, int signo, void *ctx)
{
	struct screen *s = ctx;

	(void)l, (void)signo;
	screen_measure(s);
	s->fn(0, s->ctx);
}

/* Ctrl-Z: stops as if nobody had taken the signal, and goes on where it was. */
static void on_stop(struct loop *l, int signo, void *ctx)
{
	struct screen *s = ctx;

	(void)signo;
	terminal_restore();
	kill(getpid(), SIGSTOP);
	terminal_begin(s);
	on_resize(l, 0, s);
}

/* Ctrl-\: ends at once, but leaves the terminal whole. */
static void on_quit(struct loop *l, int signo, void *ctx)
{
	(void)l, (void)ctx;
	terminal_restore();
	_exit(128 + signo);
}

/* What begins at keys[*at], which moves behind it; 0: a sequence that says nothing here. */
static int key_decode(const char *keys, ssize_t n, ssize_t *at)
{
	static const int arrows[] = { KEY_UP, KEY_DOWN, KEY_RIGHT, KEY_LEFT };
	ssize_t i = *at;

	if (keys[i] != '\033') {
		*at = i + 1;
		return (unsigned char)keys[i];
	}
	if (i + 1 >= n || (keys[i + 1] != '[' && keys[i + 1] != 'O')) {
		*at = i + 1;
		return KEY_ESCAPE;
	}
	for (i += 2; i < n && (unsigned char)keys[i] < 0x40; i++)
		continue;
	*at = min(i + 1, n);
	return i < n && keys[i] >= 'A' && keys[i] <= 'D' ? arrows[keys[i] - 'A'] : 0;
}

static void on_input(struct loop *l, int fd, uint32_t events, void *ctx)
{
	struct screen *s = ctx;
	char keys[64];
	ssize_t n = read(fd, keys, sizeof(keys));

	(void)events;
	if (n <= 0)
		loop_fd_drop(l, fd);
	for (ssize_t at = 0; at < n;) {
		int key = key_decode(keys, n, &at);

		if (key)
			s->fn(key, s->ctx);
	}
}

static bool can_read_keys(void)
{
	return term_is_tty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() &&
	       tcgetattr(STDIN_FILENO, &cooked) == 0;
}

int screen_new(struct loop *l, bool keys, screen_fn *fn, void *ctx, struct screen **ret,
	       struct err *e)
{
	static bool registered;
	auto_ptr(screen) s = xnew(struct screen);
	int err = loop_signal_add(l, SIGWINCH, on_resize, s, e);

	s->loop = l;
	s->fn = fn;
	s->ctx = ctx;
	s->keys = keys && can_read_keys();
	if (!err)
		err = loop_signal_add(l, SIGTSTP, on_stop, s, e);
	if (!err)
		err = loop_signal_add(l, SIGQUIT, on_quit, s, e);
	if (!err)
		err = loop_signal_add(l, SIGHUP, on_quit, s, e);
	if (!err && s->keys)
		err = loop_fd_add(l, STDIN_FILENO, EPOLLIN, on_input, s, e);
	if (err)
		return err;
	if (!registered)
		atexit(terminal_restore);
	registered = true;
	screen_measure(s);
	terminal_begin(s);
	*ret = TAKE_PTR(s);
	return 0;
}

void screen_free(struct screen *s)
{
	if (!s)
		return;
	terminal_restore();
	if (s->keys)
		loop_fd_drop(s->loop, STDIN_FILENO);
	free(s);
}

unsigned screen_width_cols(const struct screen *s)
{
	return s->width_cols;
}

unsigned screen_height_rows(const struct screen *s)
{
	return s->height_rows;
}

bool screen_has_keys(const struct screen *s)
{
	return s->keys;
}

void screen_draw(const struct screen *s, const struct strbuf *text, struct strbuf *out)
{
	const char *line = strbuf_str(text), *end;

	strbuf_puts(out, CURSOR_HOME);
	for (unsigned i = 0; *line && i + 1 < s->height_rows; i++, line = end) {
		end = line + strcspn(line, "\n");
		strbuf_append(out, line, (size_t)(end - line));
		strbuf_puts(out, CLEAR_LINE "\n");
		end += *end == '\n';
	}
	strbuf_puts(out, CLEAR_BELOW);
}
