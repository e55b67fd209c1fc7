/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Errors: a number for the program, a sentence for the reader, a hint that says the next act.
 * The caller owns a `struct err` on its stack and passes it last; nothing is allocated. Each level
 * that knows more puts its context in front with wrap(); cmd/ or agent/ prints it once.
 * Any thread: there is no shared state.
 */
#include <stdio.h>

#include "base/attr.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* could not do it */
	EXIT_USAGE = 2,  /* the command line is wrong */
	EXIT_DENIED = 3, /* not permitted (EPERM and EACCES unless said otherwise) */
	EXIT_KERNEL = 4, /* this kernel lacks it */
	EXIT_POLICY = 5, /* the policy was refused */
};

struct err {
	int code;                  /* positive errno; 0: no error */
	enum exit_code exit_class; /* EXIT_OK: derive it from `code` */
	char text[512];            /* one line, without a full stop or newline */
	char hint[256];            /* what to do next; may be empty */
};

/* Sets `e` to `code` (a positive errno; 0 or less becomes EINVAL) and the text. Clears the hint
 * and the exit class. Text that doesn't fit ends in "...". Returns -code: `return fail(e,
 * ENOENT, ...)`. Arguments may point into `e` itself. */
int fail(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);

/* fail() with the exit code said: `return fail_as(e, EXIT_KERNEL, ENOTSUP, ...)`. */
int fail_as(struct err *e, enum exit_code exit_class, int code, const char *fmt, ...) PRINTF(4, 5);

/* Puts context in front: "context: text". Returns -e->code. */
int wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* Sets the hint (the last one stays). Returns -e->code: `return hint(e, "try ...")` after fail(). */
int hint(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* The process's exit code for this error; EXIT_OK when there is none. */
enum exit_code err_exit_code(const struct err *e);

/* Prints "sonda: TEXT" and, where there is a hint, "sonda: hint: HINT", with what could steer a
 * terminal escaped. For cmd/ and agent/ only. */
void err_print(const struct err *e, FILE *out);

/* Forgets the error, for a caller that goes on without what failed. */
void err_clear(struct err *e);
