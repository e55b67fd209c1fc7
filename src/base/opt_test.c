/* SPDX-License-Identifier: BSD-2-Clause */
/* Option tables: every type and spelling, what is refused and how, the help text. */
#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/test.h"

#include <errno.h>

struct cfg {
	bool json, no_header, resolve;
	const char *where;
	struct strlist comm;
	uint32_t pid;
	uint64_t count, min_ns, size_bytes;
	int64_t nice;
	unsigned verbose;
	int format;
	char called[64];
};

static int on_call(const struct opt *row, const char *value, void *cfg, struct err *e)
{
	struct cfg *c = cfg;

	if (value && !strcmp(value, "bad"))
		return fail(e, ENOENT, "no such thing");
	snprintf(c->called, sizeof(c->called), "%s=%s/%s", row->name, value ? value : "(none)",
		 (const char *)row->ctx);
	return 0;
}

/* clang-format off */
static const struct opt_choice formats[] = {
	{ "text", 1, "aligned columns" }, { "json", 2, "one object a line" }, { "csv", 3, NULL }, { 0 },
};
static const struct opt rows[] = {
	{ "json",      OPT_BOOL,     offsetof(struct cfg, json),       NULL,  "one JSON object a line", 'j' },
	{ "no-header", OPT_BOOL,     offsetof(struct cfg, no_header),  NULL,  "no header line" },
	{ "resolve",   OPT_BOOL,     offsetof(struct cfg, resolve),    NULL,  "names for addresses" },
	{ "where",     OPT_STR,      offsetof(struct cfg, where),      "EXPR", "only events for which this is true", 'w' },
	{ "comm",      OPT_LIST,     offsetof(struct cfg, comm),       NULL,  "task names" },
	{ "pid",       OPT_U32,      offsetof(struct cfg, pid),        "PID", "only this process", 'p' },
	{ "count",     OPT_U64,      offsetof(struct cfg, count),      NULL,  "stop after so many", 'n', .least = 1, .most = 1000 },
	{ "nice",      OPT_S64,      offsetof(struct cfg, nice),       NULL,  "a signed number" },
	{ "min",       OPT_DURATION, offsetof(struct cfg, min_ns),     NULL,  "only events at least this long", .least = 1000, .most = 1000000000 },
	{ "size",      OPT_BYTES,    offsetof(struct cfg, size_bytes), NULL,  "size of the ring" },
	{ "verbose",   OPT_COUNT,    offsetof(struct cfg, verbose),    NULL,  "say more", 'v' },
	{ "output",    OPT_ENUM,     offsetof(struct cfg, format),     NULL,  "form of the output", 'o', .choices = formats },
	{ "call",      OPT_CALL,     0, "X",  "calls back", .call = on_call, .ctx = "ctx" },
	{ "flag-call", OPT_CALL,     0, NULL, "calls back without a value", .call = on_call, .ctx = "flag" },
};
/* clang-format on */

struct run {
	struct cfg cfg;
	bool given[ARRAY_LEN(rows)];
	struct opt_set set;
	struct opt_rest rest;
	struct err e;
	char text[256], *argv[32];
	int ret;
};

/* Parses words parted by '|'. */
static void run_parse(struct run *r, const char *line)
{
	int argc = 0;
	char *next = r->text;

	strlist_done(&r->cfg.comm);
	r->cfg = (struct cfg){ .resolve = true };
	memset(r->given, 0, sizeof(r->given));
	memset(&r->e, 0, sizeof(r->e));
	snprintf(r->text, sizeof(r->text), "%s", line);
	while (*line && next) {
		r->argv[argc++] = next;
		next = strchr(next, '|');
		if (next)
			*next++ = '\0';
	}
	r->argv[argc] = NULL;
	if (!r->set.len)
		opt_set_add(&r->set, (struct opt_table){ "Options:", rows, ARRAY_LEN(rows), &r->cfg,
							 r->given });
	r->ret = opt_parse(&r->set, argc, r->argv, &r->rest, &r->e);
	if (r->ret)
		CHECK_INT(err_exit_code(&r->e), EXIT_USAGE);
}

static void run_done(struct run *r)
{
	strlist_done(&r->cfg.comm);
	opt_set_done(&r->set);
}

TEST(every_type_and_spelling)
{
	struct run r = { 0 };

	run_parse(&r, "--json|--where|a == 1|--comm=a, b|--comm|c|--pid=7|--count|10|--nice|-5|"
		      "--min=10ms|--size|4KiB|-vv|--verbose|--output=json|--call|x|--no-resolve");
	CHECK_INT(r.ret, 0);
	CHECK(r.cfg.json && !r.cfg.resolve && !r.cfg.no_header);
	CHECK_STR(r.cfg.where, "a == 1");
	REQUIRE(r.cfg.comm.len == 3);
	CHECK_STR(r.cfg.comm.at[1], "b");
	CHECK_STR(r.cfg.comm.at[2], "c");
	CHECK_INT(r.cfg.pid, 7);
	CHECK_INT(r.cfg.count, 10);
	CHECK_INT(r.cfg.nice, -5);
	CHECK_INT(r.cfg.min_ns, 10000000);
	CHECK_INT(r.cfg.size_bytes, 4096);
	CHECK_INT(r.cfg.verbose, 3);
	CHECK_INT(r.cfg.format, 2);
	CHECK_STR(r.cfg.called, "call=x/ctx");
	CHECK(r.given[0] && !r.given[1] && r.given[5]);
	run_parse(&r, "--flag-call|--no-header");
	CHECK_STR(r.cfg.called, "flag-call=(none)/flag");
	CHECK(r.cfg.no_header);
	run_parse(&r, "--no-header|--header");
	CHECK(!r.cfg.no_header);
	run_done(&r);
}

TEST(short_options)
{
	struct run r = { 0 };

	run_parse(&r, "-jvp7|-n|5|-ocsv|-w|x");
	CHECK_INT(r.ret, 0);
	CHECK(r.cfg.json);
	CHECK_INT(r.cfg.verbose, 1);
	CHECK_INT(r.cfg.pid, 7);
	CHECK_INT(r.cfg.count, 5);
	CHECK_INT(r.cfg.format, 3);
	CHECK_STR(r.cfg.where, "x");
	run_done(&r);
}

TEST(words_and_what_follows_dashes)
{
	struct run r = { 0 };

	run_parse(&r, "fs.open|--json|-|net.dns|--pid|3|--|ls|--json|--|x");
	CHECK_INT(r.ret, 0);
	REQUIRE(r.rest.count == 3 && r.rest.after_count == 4);
	CHECK_STR(r.rest.words[0], "fs.open");
	CHECK_STR(r.rest.words[1], "-");
	CHECK_STR(r.rest.words[2], "net.dns");
	CHECK_STR(r.rest.after[1], "--json");
	CHECK_STR(r.rest.after[4], NULL);
	CHECK(r.rest.has_dashes);
	run_parse(&r, "fs.open");
	CHECK(!r.rest.has_dashes);
	CHECK_INT(r.rest.after_count, 0);
	CHECK_STR(r.rest.after[0], NULL);
	run_parse(&r, "");
	CHECK_INT(r.rest.count, 0);
	run_done(&r);
}

TEST(mistakes_name_the_option_and_what_was_expected)
{
	static const char *const cases[][2] = {
		{ "--jsno", "unknown option '--jsno' (did you mean '--json'?)" },
		{ "--zzzzzzzz", "unknown option '--zzzzzzzz'" },
		{ "-z", "unknown option '-z'" },
		{ "--pid", "option '--pid' needs a value: PID" },
		{ "--pid|--|x", "option '--pid' needs a value: PID" },
		{ "--json=1", "option '--json' takes no value, but got '1'" },
		{ "--pid=x", "option '--pid': 'x' is not a number: expected digits" },
		{ "--pid=4294967296", "option '--pid': '4294967296' is out of range" },
		{ "--min=10",
		  "option '--min': '10' is not a duration: expected a number and one of" },
		{ "--min=2s", "option '--min': '2s' is out of range: expected 1us to 1s" },
		{ "--count=0", "option '--count': '0' is out of range: expected 1 to 1000" },
		{ "--output=jsn",
		  "option '--output': unknown 'jsn': expected one of text, json, csv "
		  "(did you mean 'json'?)" },
		{ "--comm=,", "option '--comm': the list is empty" },
		{ "--call=bad", "option '--call': no such thing" },
		{ "--no-pid", "unknown option '--no-pid'" },
	};
	struct run r = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		run_parse(&r, cases[i][0]);
		CHECK(r.ret < 0);
		CHECK_HAS(r.e.text, cases[i][1]);
	}
	run_done(&r);
}

/* A word "probe" brings a table of its own, as a probe's parameters come. */
struct extra {
	uint64_t depth;
	bool json;
};
static const struct opt extra_rows[] = {
	{ "depth", OPT_U64, offsetof(struct extra, depth), NULL, "how deep" },
	{ "json", OPT_BOOL, offsetof(struct extra, json), NULL, "the same name as another" },
};

static int on_word(struct opt_set *set, const char *word, void *ctx, struct err *e)
{
	if (strcmp(word, "probe"))
		return fail_as(e, EXIT_USAGE, ENOENT, "unknown probe '%s'", word);
	opt_set_add(set, (struct opt_table){ "Of the probe:", extra_rows, ARRAY_LEN(extra_rows),
					     ctx, NULL });
	return 0;
}

TEST(tables_can_come_with_words)
{
	struct extra extra = { 0 };
	struct run r = { .set = { .word = on_word, .ctx = &extra } };

	run_parse(&r, "probe|--depth|9|--json");
	CHECK_INT(r.ret, 0);
	CHECK_INT(extra.depth, 9);
	CHECK(extra.json && r.cfg.json);
	run_parse(&r, "prob");
	CHECK_STR(r.e.text, "unknown probe 'prob'");
	run_done(&r);
}

TEST(before_its_word_an_option_is_unknown_and_the_hint_says_why)
{
	struct extra extra = { 0 };
	struct run r = { .set = { .word = on_word, .ctx = &extra } };

	run_parse(&r, "--depth|9|probe");
	CHECK_STR(r.e.text, "unknown option '--depth'");
	CHECK_HAS(r.e.hint, "after its name");
	run_done(&r);
}

static char *help_text(const struct opt_set *set, unsigned width)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	opt_help(set, out, width);
	fclose(out);
	return text;
}

TEST(help_is_aligned_and_wrapped)
{
	static const struct opt few[] = {
		{ "json", OPT_BOOL, 0, NULL, "one JSON object a line", 'j' },
		{ "where", OPT_STR, 0, "EXPR", "only events for which the expression is true" },
		{ "output", OPT_ENUM, 0, NULL, "form", 'o', formats },
		{ "a-very-long-name-for-an-option", OPT_U32, 0, NULL, "help" },
	};
	auto_done(opt_set) set = { 0 };
	auto_free char *text = NULL;

	opt_set_add(&set, (struct opt_table){ "Output:", few, ARRAY_LEN(few), NULL, NULL });
	opt_set_add(&set, (struct opt_table){ "Nothing:", NULL, 0, NULL, NULL });
	text = help_text(&set, 62);
	CHECK_STR(text, "Output:\n"
			"  -j, --json                  one JSON object a line\n"
			"      --where EXPR            only events for which the\n"
			"                              expression is true\n"
			"  -o, --output text|json|csv  form\n"
			"                                text: aligned columns\n"
			"                                json: one object a line\n"
			"      --a-very-long-name-for-an-option N\n"
			"                              help\n");
}

TEST(spellings)
{
	auto_done(strbuf) b = { 0 };

	opt_spelling(&rows[5], &b);
	CHECK_STR(b.s, "-p, --pid PID");
	strbuf_reset(&b);
	opt_choices(&rows[11], " ", &b);
	CHECK_STR(b.s, "text json csv");
	CHECK(!opt_takes_value(&rows[0]));
	CHECK(opt_takes_value(&rows[12]) && !opt_takes_value(&rows[13]));
	CHECK_STR(opt_metavar(&rows[8]), "TIME");
}
