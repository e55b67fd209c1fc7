/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts of stacks. */
#include "schema/stack.h"

#include <string.h>

#include "base/str.h"
#include "base/vec.h"

#define INDENT 8

/* How the kernel comes to a BPF program: what their names begin with. */
static const char *const glue[] = {
	"bpf_prog_",    "bpf_trampoline_",   "bpf_trace_run",      "__bpf_trace_",
	"__traceiter_", "trace_call_bpf",    "perf_trace_",        "perf_call_bpf_enter",
	"kprobe_",      "uprobe_dispatcher", "__uprobe_perf_func", "bpf_overflow_handler",
};

struct frames frames_all(const char *text, size_t len)
{
	return (struct frames){ text, text + len };
}

bool frames_next(struct frames *f, const char **ret_frame, size_t *ret_len)
{
	const char *stop;

	if (f->at >= f->end)
		return false;
	stop = memchr(f->at, ';', (size_t)(f->end - f->at)) ?: f->end;
	*ret_frame = f->at;
	*ret_len = (size_t)(stop - f->at);
	f->at = stop + (stop < f->end);
	return true;
}

static bool begins_with(const char *frame, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && !memcmp(frame, word, n);
}

static bool is_glue(const char *frame, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(glue); i++)
		if (begins_with(frame, len, glue[i]))
			return true;
	return false;
}

struct frames frames_of(const char *text, size_t len)
{
	struct frames all = frames_all(text, len), rest = all, before;
	const char *frame;
	size_t frame_len;

	if (!begins_with(text, len, "bpf_prog_") && !begins_with(text, len, "bpf_trampoline_"))
		return all;
	do {
		before = rest;
		if (!frames_next(&rest, &frame, &frame_len))
			return all;
	} while (is_glue(frame, frame_len));
	return before;
}

/* "read_page+0x1c [xfs]" -> "read_page [xfs]", "read+0x10 [libc.so.6]" -> "read" */
static void append_without_offset(struct strbuf *out, const char *frame, size_t len)
{
	const char *library = memmem(frame, len, " [", 2), *plus, *rest, *end;

	if (library && memmem(library, len - (size_t)(library - frame), ".so", 3))
		len = (size_t)(library - frame);
	end = frame + len;
	plus = memmem(frame, len, "+0x", 3);
	if (begins_with(frame, len, "0x")) {
		strbuf_puts(out, "[unknown]");
		return;
	}
	if (!plus || plus == frame) {
		strbuf_append(out, frame, len);
		return;
	}
	rest = plus + 3;
	while (rest < end && strchr("0123456789abcdef", *rest) && *rest)
		rest++;
	if (rest < end && *rest != ' ') { /* part of a name: "operator+0x" */
		strbuf_append(out, frame, len);
		return;
	}
	strbuf_append(out, frame, (size_t)(plus - frame));
	strbuf_append(out, rest, (size_t)(end - rest));
}

void frames_fold(struct frames f, struct strbuf *out)
{
	vec(struct frames) all = { 0 };
	const char *frame;
	size_t len;

	while (frames_next(&f, &frame, &len))
		*vec_add(&all) = frames_all(frame, len);
	for (size_t i = all.len; i; i--) {
		if (i < all.len)
			strbuf_putc(out, ';');
		append_without_offset(out, all.at[i - 1].at,
				      (size_t)(all.at[i - 1].end - all.at[i - 1].at));
	}
	vec_done(&all);
}

void frames_lines(struct frames f, const char *title, unsigned width_cols, struct strbuf *out)
{
	size_t room = width_cols > 2 * INDENT + 8 ? width_cols - 2 * INDENT : SIZE_MAX, len;
	const char *frame;

	for (const char *first = title; frames_next(&f, &frame, &len); first = "") {
		strbuf_appendf(out, "%*s%-*s", INDENT, "", INDENT, first);
		text_escape(out, frame, len > room ? room - 1 : len);
		strbuf_puts(out, len > room ? "\u2026\n" : "\n");
	}
}
