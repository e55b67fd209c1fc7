/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/mem.h"
#include "base/str.h"
#include "schema/stack.h"

static char *folded(const char *text)
{
	struct strbuf out = { 0 };

	frames_fold(frames_of(text, strlen(text)), &out);
	return strbuf_take(&out);
}

static void check_folded(const char *text, const char *want)
{
	auto_free char *got = folded(text);

	CHECK_STR(got, want);
}

TEST(folding_turns_round_and_leaves_details_out)
{
	check_folded("c+0x1;b+0x22 [xfs];a", "a;b [xfs];c");
	check_folded("read+0x1f [libc.so.6];main+0x2", "main;read");
	check_folded("0x7f12;libc.so.6+0x1234;operator+", "operator+;libc.so.6;[unknown]");
	check_folded("one", "one");
	check_folded("one [a.so+0x1]", "one"); /* a file may be called anything */
	check_folded("", "");
	check_folded(";;", ";"); /* frames without a name can't be told */
}

TEST(the_observer_is_left_out)
{
	check_folded("bpf_prog_1_x [bpf];bpf_trace_run4+0x1;__traceiter_sched+0x1;schedule;nap",
		     "nap;schedule");
	/* but not within a stack, and not when there is nothing else */
	check_folded("schedule;bpf_prog_1_x [bpf]", "bpf_prog_1_x [bpf];schedule");
	check_folded("bpf_prog_1_x [bpf];bpf_trace_run4+0x1", "bpf_trace_run4;bpf_prog_1_x [bpf]");
}

TEST(lines_are_as_wide_as_the_terminal)
{
	struct strbuf out = { 0 };

	frames_lines(frames_all("a_rather_long_name;b", 20), "kstack", 30, &out);
	CHECK_STR(strbuf_str(&out), "        kstack  a_rather_long\u2026\n                b\n");
	strbuf_done(&out);
}
