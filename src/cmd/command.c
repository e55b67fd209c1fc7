/* SPDX-License-Identifier: BSD-2-Clause */
/* What all commands have in common: the list, parsing, help, the one place that prints errors. */
#include "cmd/command.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/term.h"

static const struct command *const commands[] = {
	&command_list_probes, &command_trace,  &command_top,     &command_hist,   &command_show,
	&command_record,      &command_replay, &command_check,   &command_doctor, &command_cost,
	&command_policy,      &command_help_,  &command_version,
};

struct common {
	bool help;
	unsigned verbose;
	bool quiet;
};

/* clang-format off */
static const struct opt common_opts[] = {
	{ "help",    OPT_BOOL,  offsetof(struct common, help),    NULL, "this text", .letter = 'h' },
	{ "quiet",   OPT_BOOL,  offsetof(struct common, quiet),   NULL, "no notes on stderr, only errors", .letter = 'q' },
	{ "verbose", OPT_COUNT, offsetof(struct common, verbose), NULL, "say more: hooks tried, what is filtered in the kernel", .letter = 'v' },
};
/* clang-format on */

const struct command *const *command_list(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(commands);
	return commands;
}

const char *command_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return i < ARRAY_LEN(commands) ? commands[i]->name : NULL;
}

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_eq(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void common_options(struct common *common, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Common",
					     .rows = common_opts,
					     .count = ARRAY_LEN(common_opts),
					     .cfg = common });
}

void command_options(const struct command *c, void *cfg, struct opt_set *set)
{
	static struct common unused;

	if (c->options)
		c->options(cfg, set);
	common_options(&unused, set);
}

void command_help(const struct command *c, const struct opt_set *set, FILE *out)
{
	fprintf(out, "usage: sonda %s %s\n\n%s\n\n", c->name, c->synopsis, c->text ?: c->help);
	opt_help(set, out, term_width(STDOUT_FILENO));
	if (!c->examples)
		return;
	fprintf(out, "\nExamples:\n");
	for (const char *line = c->examples; *line;) {
		size_t len = strcspn(line, "\n"), command = strcspn(line, "\t\n");

		fprintf(out, "  %-58.*s", (int)command, line);
		if (command < len)
			fprintf(out, "  %.*s", (int)(len - command - 1), line + command + 1);
		fputc('\n', out);
		line += len + (line[len] == '\n');
	}
}

static int command_parsed(const struct command *c, const struct opt_set *set, void *cfg,
			  const struct common *common, const struct opt_rest *rest, struct err *e)
{
	if (common->help) {
		command_help(c, set, stdout);
		return EXIT_OK;
	}
	if (common->quiet)
		log_set_level(LOG_LEVEL_ERROR);
	else if (common->verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	return c->run(cfg, rest, e);
}

int command_run(const struct command *c, int argc, char **argv)
{
	auto_free void *cfg = xcalloc(1, c->cfg_size + 1);
	struct common common = { 0 };
	struct opt_set set = { 0 };
	struct opt_rest rest;
	struct err e = { 0 };
	int code;

	if (c->init)
		c->init(cfg);
	if (c->options)
		c->options(cfg, &set);
	common_options(&common, &set);
	code = opt_parse(&set, argc, argv, &rest, &e);
	if (!code)
		code = command_parsed(c, &set, cfg, &common, &rest, &e);
	if (code < 0) {
		code = err_exit_code(&e);
		if (code == EXIT_DENIED && !e.hint[0] && geteuid())
			hint(&e, "run it as root");
		err_print(&e, stderr);
		if (code == EXIT_USAGE && !e.hint[0])
			fprintf(stderr, "sonda: `sonda %s --help` shows the usage\n", c->name);
	}
	opt_set_done(&set);
	if (c->done)
		c->done(cfg);
	if (fflush(stdout) != 0 && code == EXIT_OK)
		code = EXIT_FAILED;
	return code;
}
