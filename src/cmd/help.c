/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda help: the commands, one of them, a probe; and what is generated from the same rows. */
#include "base/str.h"
#include "cmd/command.h"
#include "cmd/describe.h"
#include "cmd/generate.h"
#include "pipeline/catalog.h"

#include <errno.h>

struct help {
	const char *generate;
	const char *to;
};

/* clang-format off */
static const struct opt help_opts[] = {
	{ "generate", OPT_STR, offsetof(struct help, generate), "WHAT", "events, kinds, commands, verifier, policy-words, man or completion" },
	{ "to",       OPT_STR, offsetof(struct help, to),       "DIR",  "where man pages go" },
};
/* clang-format on */

static void help_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "For the build",
					     .rows = help_opts,
					     .count = ARRAY_LEN(help_opts),
					     .cfg = cfg });
}

static void help_all(void)
{
	size_t count;
	const struct command *const *all = command_list(&count);

	puts("sonda shows what the kernel is doing, with probes light enough to stay on.\n\n"
	     "usage: sonda COMMAND [PROBE...] [OPTIONS] [-- COMMAND ...]\n");
	for (size_t i = 0; i < count; i++)
		printf("  %-10s %s\n", all[i]->name, all[i]->help);
	puts("\nStart with:\n"
	     "  sonda list                     what can be watched here\n"
	     "  sonda trace process.exec       every program that is started\n"
	     "  sonda help trace               the options of a command\n"
	     "  sonda help fs.open             the fields of a probe");
}

static int help_command(const struct command *c)
{
	auto_free void *cfg = xcalloc(1, c->cfg_size + 1);
	struct opt_set set = { 0 };

	if (c->init)
		c->init(cfg);
	command_options(c, cfg, &set);
	command_help(c, &set, stdout);
	opt_set_done(&set);
	if (c->done)
		c->done(cfg);
	return EXIT_OK;
}

static int help_probe(const char *word, struct err *e)
{
	auto_done(strbuf) out = { 0 };
	struct catalog c = { 0 };
	auto_ptr(probe) p = NULL;
	int err;

	catalog_read(&c);
	err = catalog_find(&c, word, &p, e);
	catalog_done(&c);
	if (err)
		return err;
	describe_text(&out, p->decl);
	fputs(strbuf_str(&out), stdout);
	return EXIT_OK;
}

static int help_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	const struct help *h = cfg;
	int code = EXIT_OK;

	if (h->generate)
		return generate(h->generate, h->to, e);
	if (!rest->count)
		help_all();
	for (size_t i = 0; code == EXIT_OK && i < rest->count; i++) {
		const struct command *c = command_find(rest->words[i]);

		code = c ? help_command(c) : help_probe(rest->words[i], e);
		if (code == -ENOENT)
			hint(e, "`sonda help` lists the commands, `sonda list` the probes");
	}
	return code;
}

const struct command command_help_ = {
	.name = "help",
	.word = command_nth,
	.synopsis = "[COMMAND|PROBE...]",
	.help = "how a command is used, what a probe tells",
	.cfg_size = sizeof(struct help),
	.options = help_options,
	.run = help_run,
};
