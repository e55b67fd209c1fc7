/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Commands: a row each (commands.c), from which come parsing, --help, man pages and completion.
 * A command's configuration is one zeroed struct that its options fill. One thread.
 */
#include <stddef.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/opt.h"

struct command {
	const char *name;
	const char *synopsis; /* what follows "sonda NAME " */
	const char *help;     /* one line */
	const char *text;     /* paragraphs for --help and the man page; blank lines between */
	const char *examples; /* a line each: "COMMAND<tab>what it shows"; NULL */
	/* The nth word of its own that it takes, for completion; NULL at the end. `ctx` is not used.
	 * May be NULL: probes and files, as the synopsis says. */
	const char *(*word)(const void *ctx, size_t i);
	size_t cfg_size;
	void (*init)(void *cfg); /* may be NULL */
	/* Adds the options; tables point into `cfg`. May be NULL. */
	void (*options)(void *cfg, struct opt_set *set);
	/* Returns the exit code, or -errno with `e` set. */
	int (*run)(void *cfg, const struct opt_rest *rest, struct err *e);
	void (*done)(void *cfg); /* may be NULL */
};

/* All commands, in the order of the help. */
MUST_USE const struct command *const *command_list(size_t *ret_count);
MUST_USE const struct command *command_find(const char *name);
/* The nth name, NULL at the end: for suggest_from() and completion. `ctx` is not used. */
MUST_USE const char *command_nth(const void *ctx, size_t i);

/* Parses and runs: argv without the program's and the command's name. Prints its error. Returns the
 * exit code. */
MUST_USE int command_run(const struct command *c, int argc, char **argv);

/* The set of a command's options with the common ones, for help, man pages and completion. `cfg` is
 * zeroed memory of cfg_size bytes that init() has seen. */
void command_options(const struct command *c, void *cfg, struct opt_set *set);
void command_help(const struct command *c, const struct opt_set *set, FILE *out);

extern const struct command command_list_probes, command_trace, command_top, command_hist,
	command_show, command_record, command_replay, command_check, command_doctor, command_cost,
	command_policy, command_help_, command_version;
