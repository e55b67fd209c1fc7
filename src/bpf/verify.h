/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Does a probe load on this kernel? All programs are loaded, alternatives too; each on its own, verbosely,
 * where one is refused. Nothing is attached. For `sonda check`. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct object;

enum { VERIFY_INSNS_LIMIT = 1000000 }; /* the kernel's, for a program of a privileged user */

struct verdict {
	const char *program, *hook, *slot;
	unsigned rank;
	bool loads;
	bool skipped;   /* by a gate: `words` says which; it wasn't given to the kernel */
	int code;       /* positive errno of a refusal; 0 */
	uint32_t insns; /* verified; 0: not known */
	uint32_t xlated_bytes, jited_bytes;
	uint32_t stack_bytes; /* deepest; 0: not known */
	const char *file;     /* of the refused C line; "" */
	unsigned line;        /* 0: not known */
	const char *source;   /* the refused C line; "" */
	const char *words;    /* the log's last words, or why it was skipped; "" */
	const char *advice;   /* what to do; "" when the table has nothing */
	const char *log;      /* the whole log; "" */
};

/* Strings live until `fn` returns. Returns what `fn` returned when that wasn't 0.
 * Errors: EPERM (EXIT_DENIED). A refusal is a verdict, not an error. */
typedef int verdict_fn(const struct verdict *v, void *ctx);
MUST_USE int verify_object(struct object *o, verdict_fn *fn, void *ctx, struct err *e);

/* What a verifier log says, for tests and for logs from elsewhere. The strings of `ret_verdict` point
 * into `log`, which is cut up. Fills insns, stack_bytes, file, line, source, words, advice. */
void verify_read_log(char *log, struct verdict *ret_verdict);
