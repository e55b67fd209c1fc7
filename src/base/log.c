/* SPDX-License-Identifier: BSD-2-Clause */
/* Diagnostics to stderr: one line, one write(2), so that lines of several threads don't mix. */
#include "base/log.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>

static _Atomic int shown_level = LOG_LEVEL_NOTE;

/* What follows "sonda: "; a note needs no name. */
static const char *const level_prefix[] = {
	[LOG_LEVEL_ERROR] = "error: ",
	[LOG_LEVEL_WARN] = "warning: ",
	[LOG_LEVEL_NOTE] = "",
	[LOG_LEVEL_DEBUG] = "debug: ",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&shown_level, (int)level, memory_order_relaxed);
}

bool log_shows(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&shown_level, memory_order_relaxed);
}

PRINTF(3, 0)
static void log_line(enum log_level level, const char *component, const char *fmt, va_list ap)
{
	auto_done(strbuf) line = { 0 };
	auto_free char *text = NULL;

	assert(fmt);
	if (!log_shows(level))
		return;
	text = xvasprintf(fmt, ap);
	strbuf_puts(&line, "sonda: ");
	strbuf_puts(&line, level_prefix[level]);
	if (component) {
		strbuf_puts(&line, component);
		strbuf_puts(&line, ": ");
	}
	text_clean(&line, text, strlen(text));
	strbuf_putc(&line, '\n');
	/* There is nowhere to say that stderr is gone. */
	(void)!fd_write_all(STDERR_FILENO, line.s, line.len);
}

void log_error(const char *component, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, component, fmt, ap);
	va_end(ap);
}

void log_warn(const char *component, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARN, component, fmt, ap);
	va_end(ap);
}

void log_note(const char *component, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_NOTE, component, fmt, ap);
	va_end(ap);
}

void log_note_text(const char *text)
{
	log_note(NULL, "%s", text);
}

void log_debug(const char *component, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_DEBUG, component, fmt, ap);
	va_end(ap);
}

bool log_limit_pass(struct log_limit *limit, uint64_t every_ms, uint64_t *ret_skipped)
{
	uint64_t now_ns = clock_mono_ns();
	uint64_t next_ns;

	assert(limit && ret_skipped);
	next_ns = atomic_load(&limit->next_ns);
	if (now_ns < next_ns || !atomic_compare_exchange_strong(&limit->next_ns, &next_ns,
								now_ns + every_ms * 1000000)) {
		atomic_fetch_add(&limit->skipped, 1);
		return false;
	}
	*ret_skipped = atomic_exchange(&limit->skipped, 0);
	return true;
}
