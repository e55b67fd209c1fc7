/* SPDX-License-Identifier: BSD-2-Clause */
/* Keeps libbpf's messages, and finds in them what is to blame. */
#include "bpf/capture.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/str.h"

enum { KEPT_MAX = 256 * 1024 }; /* bytes; a verifier log may be longer */

static struct strbuf kept;

static PRINTF(2, 0) int capture_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	size_t from = kept.len;

	if (level == LIBBPF_DEBUG || kept.len > KEPT_MAX)
		return 0;
	strbuf_vappendf(&kept, fmt, ap);
	if (log_shows(LOG_LEVEL_DEBUG)) {
		const char *line = kept.s + from, *rest = str_after(line, "libbpf: ");

		line = rest ? rest : line;
		log_debug("libbpf", "%.*s", (int)strcspn(line, "\n"), line);
	}
	return 0;
}

void capture_begin(void)
{
	strbuf_reset(&kept);
	libbpf_set_print(capture_print);
}

const char *capture_text(void)
{
	return strbuf_str(&kept);
}

/* Copies what stands between `before` and the next quote. */
static bool quoted_after(const char *line, size_t len, const char *before, char *to)
{
	const char *at = memmem(line, len, before, strlen(before)), *end;

	if (!at)
		return false;
	at += strlen(before);
	end = memchr(at, '\'', len - (size_t)(at - line));
	if (!end || end - at >= CAPTURE_NAME_MAX)
		return false;
	memcpy(to, at, (size_t)(end - at));
	to[end - at] = '\0';
	return true;
}

static bool line_has(const char *line, size_t len, const char *part)
{
	return memmem(line, len, part, strlen(part)) != NULL;
}

/* "prog 'x': BPF program load failed: Permission denied", "prog 'x': failed to find kernel BTF type
 * ID of 'y'", "map 'm': failed to create: Invalid argument(-22)" ... The first line that blames
 * somebody counts; what follows are consequences. A verifier log stands between the marks
 * "-- BEGIN" and "-- END" and may hold anything. */
void capture_blame(const char *text, struct blame *ret_blame)
{
	static const char *const words[] = { "failed",  "wasn't created", "can't",
					     "bad",     "invalid",        "not found",
					     "unknown", "unsupported",    "missing" };
	struct blame b = { .words = "" };
	bool in_log = false;
	size_t len;

	for (const char *line = text; *line; line += len + (line[len] == '\n')) {
		bool about_map, blames = false;

		len = strcspn(line, "\n");
		if (line_has(line, len, "BEGIN PROG LOAD LOG"))
			in_log = true;
		else if (line_has(line, len, "END PROG LOAD LOG"))
			in_log = false;
		if (in_log && !line_has(line, len, "wasn't created"))
			continue;
		if (in_log) { /* the only thing in a log that is libbpf's own */
			quoted_after(line, len, "BPF map '", b.map);
			continue;
		}
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			blames |= line_has(line, len, words[i]);
		about_map = line_has(line, len, "map '") && !line_has(line, len, "prog '");
		if (blames)
			quoted_after(line, len, "prog '", b.outer);
		if (!blames || b.program[0] ||
		    !(quoted_after(line, len, "prog '", b.program) ||
		      (about_map && !b.map[0] && quoted_after(line, len, "map '", b.map))))
			continue;
		b.words = line;
		b.words_len = len;
	}
	*ret_blame = b;
}
