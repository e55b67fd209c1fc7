/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The text of a stack: frames, innermost first, with ';' between them, as value_text_form() gives it.
 * Frames are "read_page+0x1c [xfs]", "read_page [xfs]", "libc.so.6+0x2a1b0", "0x7f12a0". Any thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct strbuf;

struct frames {
	const char *at, *end;
};

/* All frames of a text; without those that only show that it is observed (the BPF program that took the
 * stack, and how the kernel called it) unless there are no others. */
MUST_USE struct frames frames_all(const char *text, size_t len);
MUST_USE struct frames frames_of(const char *text, size_t len);
/* The next frame; false: none is left. */
MUST_USE bool frames_next(struct frames *f, const char **ret_frame, size_t *ret_len);

/* Appends the frames as flame graphs take them: outermost first, without offsets. */
void frames_fold(struct frames f, struct strbuf *out);
/* Appends a line for each frame, indented; longer ones than `width_cols` are cut (0: none is). */
void frames_lines(struct frames f, const char *title, unsigned width_cols, struct strbuf *out);
