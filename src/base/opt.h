/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Option tables. A row is an option: parsing, --help, completion and man pages all read it. Tables
 * are chained in a set (a command's own, the common ones, a probe's parameters made at run time);
 * each table writes into its own structure. One thread.
 *
 * Understood: --name VALUE, --name=VALUE, --no-name (and --name for a row called "no-name") for
 * booleans, -n VALUE, -nVALUE, -abc, options after words, and `--`, after which everything is
 * handed back apart.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/str.h"

struct err;
struct opt;

/* Each type with what `offset` points at. */
enum opt_type {
	OPT_BOOL,     /* bool */
	OPT_STR,      /* const char *, borrowed from argv */
	OPT_LIST,     /* struct strlist: repeatable, and comma-separated */
	OPT_U32,      /* uint32_t */
	OPT_U64,      /* uint64_t */
	OPT_S64,      /* int64_t */
	OPT_DURATION, /* uint64_t, nanoseconds: 10ms; a bare number is refused but for 0 */
	OPT_BYTES,    /* uint64_t, bytes: 4KiB */
	OPT_COUNT,    /* unsigned: one more each time (-vv) */
	OPT_ENUM,     /* int: the value of one of `choices` */
	OPT_CALL,     /* whatever `call` does; takes a value if there is a metavar */
	OPT_TYPE_COUNT,
};

/* `value` is NULL for a row without metavar; `cfg` is the table's. 0 or fail(e, ...). */
typedef int opt_fn(const struct opt *row, const char *value, void *cfg, struct err *e);

struct opt_choice {
	const char *name; /* NULL ends the list */
	int value;
	const char *help; /* may be NULL */
};

struct opt {
	const char *name; /* without dashes */
	enum opt_type type;
	size_t offset;                    /* in the table's cfg */
	const char *metavar;              /* "TIME"; NULL: the type's usual one (see opt_metavar) */
	const char *help;                 /* one line, no full stop */
	char letter;                      /* short form, 0: none */
	const struct opt_choice *choices; /* OPT_ENUM */
	opt_fn *call;                     /* OPT_CALL */
	const void *ctx;                  /* for `call` */
	uint64_t least, most;             /* range of U32, U64, DURATION, BYTES; both 0: any */
};

struct opt_table {
	const char *title; /* heading in the help: "Output:"; NULL: none */
	const struct opt *rows;
	size_t count;
	void *cfg;
	bool *given; /* may be NULL; else `count` flags, set true for each row that was given */
};

struct opt_set;
/* Called for each plain word as it is met; may opt_set_add() further tables (a probe's parameters).
 * 0 keeps the word in the rest. */
typedef int opt_word_fn(struct opt_set *set, const char *word, void *ctx, struct err *e);

struct opt_set {
	struct opt_table *table; /* zero-initialised is ready; use opt_set_add() */
	size_t len, cap;
	opt_word_fn *word; /* may be NULL */
	void *ctx;
	const char *unknown; /* the hint about options that there are not; NULL: the usual one */
};
void opt_set_add(struct opt_set *set, struct opt_table table); /* rows are borrowed */
void opt_set_done(struct opt_set *set);

struct opt_rest {
	char **words; /* what is not an option, in order; inside argv */
	size_t count;
	char **after; /* what follows `--`; inside argv, NULL-terminated like argv itself */
	size_t after_count;
	bool has_dashes; /* there was a `--` */
};

/* Parses argv[0..argc) (without the program's and the command's name), reordering argv in
 * place. An option found in several tables is set in each. Errors: EINVAL with exit class
 * EXIT_USAGE, which name the option, what was expected, and the nearest name. Lists must be
 * freed also on failure. */
MUST_USE int opt_parse(struct opt_set *set, int argc, char **argv, struct opt_rest *ret_rest,
		       struct err *e);

/* Aligned help of every table, wrapped to `width` columns (0: 80). */
void opt_help(const struct opt_set *set, FILE *out, unsigned width);

/* For man pages and completion: does the row take a value; its metavar ("N", "TIME", "SIZE"; NULL
 * for none); and its spelling "-o, --output text|json|csv". */
MUST_USE bool opt_takes_value(const struct opt *row);
MUST_USE const char *opt_metavar(const struct opt *row);
void opt_spelling(const struct opt *row, struct strbuf *b);
/* The choices of an OPT_ENUM joined by `sep`. */
void opt_choices(const struct opt *row, const char *sep, struct strbuf *b);
