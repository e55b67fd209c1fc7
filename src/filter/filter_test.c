/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole language, on one row: see sample_fill() for what it holds. */
#include "base/test.h"

#include "base/err.h"
#include "base/strbuf.h"
#include "filter/filter.h"
#include "tests/data/sample.h"

#include <errno.h>

/* clang-format off */
static const struct {
	const char *text;
	bool holds;
} conditions[] = {
	/* numbers */
	{ "pid == 4242", true },          { "pid = 4242", true },
	{ "pid==4242", true },            { "pid != 4242", false },
	{ "pid < 4243", true },           { "pid < 4242", false },
	{ "pid <= 4242", true },          { "pid > 4242", false },
	{ "pid >= 4242", true },          { "pid == 0x1092", true },
	{ "pid in 1, 2, 4242", true },    { "pid in (1,2,3)", false },
	{ "pid not in (1,2,3)", true },   { "pid != (1, 4242)", false },
	{ "delta == -5", true },          { "delta < -4", true },
	{ "delta > 4", false },           { "mask == -2", true },
	{ "mask < 0", true },             { "port == 443 and delta", true },
	/* units, and names without them */
	{ "took_ns == 1240us", true },    { "took_ns == 1240000", true },
	{ "took > 1ms", true },
	{ "took > 1.25ms", false },       { "took >= 1.24ms", true },
	{ "took < 0.1s", true },          { "size == 8KiB", true },
	{ "size_bytes >= 8kB", true },    { "size > 8K", false },
	/* names */
	{ "err == ENOENT", true },        { "err == enoent", true },
	{ "err != ok", true },            { "err == 0", false },
	{ "err in (EPERM, ENOENT)", true }, { "err", true },
	{ "op == write", true },          { "op == WRITE", true },
	{ "op == OP_WRITE", true },       { "op == 2", true },
	{ "op != read", true },           { "op ~ 'w*'", true },
	{ "op !~ 'w*'", false },          { "op in (read, flush)", false },
	/* bits */
	{ "flags ~ O_CREAT", true },      { "flags ~ O_TRUNC", false },
	{ "flags ~ O_TRUNC|O_CREAT", true }, { "flags !~ O_TRUNC", true },
	{ "flags == O_WRONLY|O_CREAT|O_CLOEXEC", true },
	{ "flags == O_CREAT", false },    { "flags ~ o_creat", true },
	/* texts and globs */
	{ "comm == curl", true },         { "comm == 'curl'", true },
	{ "comm == \"cur\"", false },     { "comm in (wget, curl)", true },
	{ "comm ~ c?rl", true },          { "comm ~ c", false },
	{ "comm ~ '[a-d]url'", true },    { "comm ~ (wget, 'cu*')", true },
	{ "path == /etc/passwd", true },  { "path ~ /etc/*", true },
	{ "path ~ '/**'", true },         { "path ~ /e*/shadow", false },
	{ "path ~ '/etc/{passwd,group}'", true }, { "path !~ /usr/**", true },
	{ "path ~ /*", false },           { "argv ~ '* -s *'", true },
	{ "argv == 'curl'", false },      { "user == anna", true },
	{ "user", true },
	/* addresses */
	{ "dst == 10.1.2.3", true },      { "dst == 10.1.2.4", false },
	{ "dst in 10.0.0.0/8", true },    { "dst in 10.1.3.0/24", false },
	{ "dst in 10.1.2.2/31", true },   { "dst in 10.1.2.4/31", false },
	{ "dst in 0.0.0.0/0", true },     { "dst in ::/0", false },
	{ "dst in (fe80::/10, 10.0.0.0/8)", true }, { "dst == ::ffff:10.1.2.3", true },
	{ "dst != 10.1.2.3", false },
	/* booleans */
	{ "ok", true },                   { "not ok", false },
	{ "ok == true", true },           { "ok != false", true },
	/* the time, which is no field of the schema */
	{ "time > 16m", true },           { "time > 17m", false },
	{ "time < 17m and pid == 4242", true },
	/* joined: not before and before or; words and signs */
	{ "ok or ok and not ok", true },  { "(ok or ok) and not ok", false },
	{ "not ok or ok", true },         { "not (ok or ok)", false },
	{ "not not ok", true },           { "!ok || ok", true },
	{ "ok && !ok", false },           { "pid == 1 or pid == 2 or pid == 4242", true },
	{ "err == ENOENT and path ~ '/etc/*' or not (took > 10ms)", true },
	{ "comm == curl and dst in 10.0.0.0/8, fe80::/10 and size >= 4KiB", true },
};

/* The same fields where nothing is known: no comparison holds, nor does its opposite. */
static const struct {
	const char *text;
	bool holds;
} unknown[] = {
	{ "user == anna", false }, { "user != anna", false }, { "user ~ '*'", false },
	{ "user !~ '*'", false },  { "user", false },         { "not user", true },
	{ "not (user == anna)", true }, { "user not in (anna)", true },
	{ "dst in 0.0.0.0/0", false },  { "dst != 10.0.0.1", false },
	{ "path ~ '**'", false },  { "path != /x", false },   { "path == /x or ok", true },
};

static const struct {
	const char *text, *error;
} mistakes[] = {
	{ "", "a condition is expected" },
	{ "pid ==", "column 7: a value is expected at the end" },
	{ "pid == 1 and", "column 13: the name of a field is expected at the end" },
	{ "pid == 1 pid", "column 10: 'and' or 'or' is expected, not 'pid'" },
	{ "(pid == 1", "column 10: ')', 'and' or 'or' is expected at the end" },
	{ "pid == 1)", "column 9: 'and' or 'or' is expected, not ')'" },
	{ "pid in (1, 2", "column 13: ')' is expected at the end" },
	{ "pid in (1,, 2)", "column 11: a value is expected, not ','" },
	{ "pid not 3", "column 9: 'in' is expected, not '3'" },
	{ "comm == 'curl", "column 9: the quote ' is not closed" },
	{ "pid & 3", "column 5: '&' has no place here" },
	{ "== 3", "column 1: the name of a field is expected, not '=='" },
	{ "pid == 1 and pdi == 2", "column 14: test.sample has no field 'pdi' (did you mean 'pid'?)" },
	{ "zzzzzzz", "column 1: test.sample has no field 'zzzzzzz'" },
	{ "pid ~ 'x*'", "column 1: pid is a pid and takes == != < > <= >= in" },
	{ "comm < x", "column 1: comm is a comm and takes == != in ~ (a glob)" },
	{ "ok < 1", "column 1: ok is a bool and takes alone, == or !=" },
	{ "dst ~ 10.*", "column 1: dst is a ip and takes == != in (10.0.0.0/8)" },
	{ "pid == curl", "column 1: pid: 'curl'" },
	{ "ports == 22", "column 1: ports is a list and takes nothing: it can't be compared" },
	{ "took > 10 parsecs", "column 11: 'and' or 'or' is expected" },
	{ "size > 4XB", "column 1: size_bytes: '4XB'" },
	{ "err == ENOSUCH", "column 1: err: " },
	{ "op == wrte", "column 1: op: unknown name 'wrte' (did you mean 'write'?)" },
	{ "flags ~ O_CRAET", "column 1: flags: unknown" },
	{ "dst == 10.1.2", "column 1: dst: '10.1.2'" },
	{ "dst in 10.0.0.0/33", "column 1: dst: '/33' is no prefix length (0 to 32)" },
	{ "comm ~ '[a'", "column 1: comm: " },
};

/* What goes to the kernel, as op, value and size for each condition, and whether that is all. */
static const struct {
	const char *text, *pushed;
	bool all;
} pushes[] = {
	{ "pid == 4242", "pid EQ 4242/4", true },
	{ "pid != 4242", "pid !EQ 4242/4", true },
	{ "pid >= 7 and took < 1ms", "pid !LT 7/4, took_ns LT 1000000/8", true },
	{ "pid <= 7", "pid !GT 7/4", true },
	{ "pid in 7", "pid EQ 7/4", true },
	{ "pid in (7, 8)", "pid EQ 7/4 or pid EQ 8/4", true },
	{ "pid == (7, 8) and ok", "pid EQ 7/4 or pid EQ 8/4, ok !EQ 0/1", true },
	{ "pid not in (7, 8)", "pid !EQ 7/4, pid !EQ 8/4", true },
	{ "pid != (7, 8)", "pid !EQ 7/4, pid !EQ 8/4", true },
	{ "pid in (1, 2, 3, 4, 5) and ok", "ok !EQ 0/1", false },
	{ "pid not in (1, 2, 3, 4, 5)", "pid !EQ 1/4, pid !EQ 2/4, pid !EQ 3/4, pid !EQ 4/4", false },
	{ "err in (EPERM, ENOENT)", "err EQ 18446744073709551615/4 or err EQ 18446744073709551614/4", true },
	{ "op in (read, flush)", "op EQ 1/4 or op EQ 7/4", true },
	{ "flags ~ (O_CREAT, O_TRUNC)", "flags ANY 576/4", true },
	{ "not flags ~ (O_CREAT, O_TRUNC)", "flags !ANY 576/4", true },
	{ "delta > -1", "delta GT 18446744073709551615/8", true },
	{ "delta", "delta !EQ 0/8", true },
	{ "ok", "ok !EQ 0/1", true },
	{ "op == write", "op EQ 2/4", true },
	{ "op ~ 'w*'", "", false },
	{ "flags ~ O_CREAT", "flags ANY 64/4", true },
	{ "flags !~ O_CREAT", "flags !ANY 64/4", true },
	{ "comm == curl", "comm EQ 1819440483/8, comm EQ 0/8", true },
	{ "comm != curl", "comm !EQ 1819440483/8 or comm !EQ 0/8", true },
	{ "not comm == curl", "comm !EQ 1819440483/8 or comm !EQ 0/8", true },
	{ "comm in (curl, wget)", "comm EQ 1819440483/8 or comm EQ 1952802679/8, comm EQ 0/8", true },
	{ "comm not in (curl, wget)", "comm !EQ 1819440483/8 or comm !EQ 0/8, comm !EQ 1952802679/8 or comm !EQ 0/8", true },
	{ "comm in (aaaaaaaab, aaaaaaaac)", "comm EQ 7016996765293437281/8, comm EQ 98/8 or comm EQ 99/8", true },
	{ "comm in (curl, aaaaaaaab)", "comm EQ 1819440483/8 or comm EQ 7016996765293437281/8, comm EQ 0/8 or comm EQ 98/8", false },
	{ "comm in (curl, wget) or ok", "", false },
	{ "comm == curl and pid == 1 and ok", "comm EQ 1819440483/8, comm EQ 0/8, pid EQ 1/4, ok !EQ 0/1", true },
	{ "comm == aaaaaaaaaaaaaaaaaaaaa", "", false },
	{ "pid == 1 or ok", "pid EQ 1/4 or ok !EQ 0/1", true },
	{ "err < 0 or took > 10ms or pid in (1, 2)", "err LT 0/4 or took_ns GT 10000000/8 or pid EQ 1/4 or pid EQ 2/4", true },
	{ "pid == 1 or path ~ '/etc/*'", "", false },
	{ "pid == 1 or (ok and port == 2)", "", false },
	{ "not (pid == 1)", "pid !EQ 1/4", true },
	{ "not (pid == 1 or took < 1ms)", "pid !EQ 1/4, took_ns !LT 1000000/8", true },
	{ "not (pid == 1 and not ok)", "pid !EQ 1/4 or ok !EQ 0/1", true },
	{ "pid == 1 and path ~ '/etc/*'", "pid EQ 1/4", false },
	{ "(pid == 1 or ok) and port == 443", "pid EQ 1/4 or ok !EQ 0/1, port EQ 443/2", true },
	{ "user == anna and pid > 1", "pid GT 1/4", false },
	{ "mask == -2", "", false },
	{ "dst == 10.0.0.1", "", false },
	{ "pid and uid and port and ok and op", "pid !EQ 0/4, uid !EQ 0/4, port !EQ 0/2, ok !EQ 0/1", false },
};
/* clang-format on */

/* 1 or 0: whether the row passes; -1 and the error when the text is none. */
static int holds(const char *text, const struct row *r, struct err *e)
{
	auto_ptr(filter) filter = NULL;
	auto_ptr(filter_bound) bound = NULL;

	if (filter_parse(text, &filter, e) || filter_bind(filter, sample_schema(), &bound, e))
		return -1;
	return filter_matches(bound, r);
}

TEST(conditions_hold_as_written)
{
	struct value user = value_text("anna", 4);
	struct sample s;
	struct row r;
	struct err e;

	sample_fill(&s);
	r = sample_row(&s, &user);
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		int got = holds(conditions[i].text, &r, &e);

		if (got != conditions[i].holds)
			TEST_FAULT("%s: %d %s", conditions[i].text, got, got < 0 ? e.text : "");
	}
}

TEST(what_is_not_known_compares_with_nothing)
{
	struct value none = value_none();
	struct sample s;
	struct row r;
	struct err e;

	sample_fill(&s);
	s.path = (struct text){ 0 };
	s.dst.family = 0;
	r = sample_row(&s, &none);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		int got = holds(unknown[i].text, &r, &e);

		if (got != unknown[i].holds)
			TEST_FAULT("%s: %d %s", unknown[i].text, got, got < 0 ? e.text : "");
	}
}

TEST(mistakes_are_told_with_their_column)
{
	struct sample s;
	struct row r;
	struct err e;

	sample_fill(&s);
	r = sample_row(&s, NULL);
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		if (holds(mistakes[i].text, &r, &e) != -1)
			TEST_FAULT("%s: taken", mistakes[i].text);
		else if (!strstr(e.text, mistakes[i].error))
			TEST_FAULT("%s:\n  '%s', not\n  '%s'", mistakes[i].text, e.text,
				   mistakes[i].error);
		CHECK_INT(err_exit_code(&e), EXIT_USAGE);
	}
}

static void push_text(const struct filter_push *p, bool joined, struct strbuf *out)
{
	static const char *const ops[] = { "EQ", "LT", "GT", "ANY" };

	strbuf_appendf(out, "%s%s %s%s %llu/%u",
		       joined     ? " or "
		       : out->len ? ", "
				  : "",
		       p->field->name, p->negated ? "!" : "", ops[p->op],
		       (unsigned long long)p->value, p->size);
	CHECK(p->offset >= p->field->offset);
	CHECK(p->offset + p->size <= p->field->offset + p->field->size);
}

TEST(what_the_kernel_can_evaluate_goes_there)
{
	for (size_t i = 0; i < ARRAY_LEN(pushes); i++) {
		auto_ptr(filter) filter = NULL;
		auto_ptr(filter_bound) bound = NULL;
		auto_done(strbuf) text = { 0 };
		struct filter_push push[4];
		struct err e;
		unsigned n;
		bool all;

		REQUIRE(!filter_parse(pushes[i].text, &filter, &e));
		REQUIRE(!filter_bind(filter, sample_schema(), &bound, &e));
		n = filter_pushable(bound, push, ARRAY_LEN(push), &all);
		REQUIRE(n <= ARRAY_LEN(push));
		for (unsigned j = 0; j < n; j++)
			push_text(&push[j], j && push[j - 1].or_next, &text);
		CHECK(!n || !push[n - 1].or_next);
		if (strcmp(strbuf_str(&text), pushes[i].pushed) != 0 || all != pushes[i].all)
			TEST_FAULT("%s: '%s' %d, not '%s'", pushes[i].text, strbuf_str(&text), all,
				   pushes[i].pushed);
	}
}

TEST(the_fields_of_a_condition_are_told)
{
	auto_ptr(filter) f = NULL;
	struct err e;

	REQUIRE(!filter_parse("err and (exe == x or not parents ~ y)", &f, &e));
	CHECK_STR(filter_field(f, 0), "err");
	CHECK_STR(filter_field(f, 1), "exe");
	CHECK_STR(filter_field(f, 2), "parents");
	CHECK_STR(filter_field(f, 3), NULL);
}

/* Deep and long ones are refused, not recursed into. */
TEST(what_is_too_deep_or_long_is_refused)
{
	auto_done(strbuf) deep = { 0 }, wide = { 0 };
	struct sample s;
	struct row r;
	struct err e;

	sample_fill(&s);
	r = sample_row(&s, NULL);
	strbuf_pad(&deep, '(', 100000);
	CHECK_INT(holds(deep.s, &r, &e), -1);
	CHECK_HAS(e.text, "nested deeper than 64");
	strbuf_puts(&wide, "pid");
	for (unsigned i = 0; i < 3000; i++)
		strbuf_puts(&wide, " or pid");
	CHECK_INT(holds(wide.s, &r, &e), -1);
	CHECK_HAS(e.text, "more than 1024 parts");
}
