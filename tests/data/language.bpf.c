/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Every word of the probe language once: src/schema/declaration_test.c says what must come of it. */
#include "sonda.bpf.h"

PROBE(language, "test", "Every word of the language");
FILTERS("task errors min=0ns tables");

enum colour { COLOUR_RED, COLOUR_GREEN, COLOUR_BLUE = 7 };
enum right { RIGHT_READ = 1, RIGHT_WRITE = 2, RIGHT_BOTH = 3, RIGHT_RUN = 8 };
enum offset_sign { SIGN_BELOW = -1, SIGN_ZERO, SIGN_ABOVE };

PARAM(u32, depth, 4, DOC("levels shown") RANGE(1, 16));
PARAM(bool, loud, true, DOC("say more"));
PARAM(s64, least, -5, DOC("least difference"));
PARAM(enum colour, paint, COLOUR_GREEN, DOC("a choice"));
PARAM(u64, patience, 2000000, KIND("duration") DOC("how long to wait"));
PARAM_LIST(u16, port, 4, (53, 5353), DOC("which ports") RANGE(1, 65535));
PARAM_TEXT(prefix, 16, "/tmp", KIND("path") DOC("where it begins"));

struct place {
	u64 inode KIND("inode") DOC("inode");
	u32 device KIND("device");
};

EVENT(language, "One of everything")
{
	struct task task;
	struct task parent HIDE;
	struct place place;
	s32 err KIND("errno") DOC("0, or why");
	u32 flags KIND("open_flags");
	enum colour colour DOC("its colour");
	enum right rights FLAGS DOC("what it may");
	enum offset_sign sign;
	u64 wait_us UNIT("us");
	u32 nice_low : 3, urgent : 1;
	s32 nice : 6;
u32:
	0;
	bool ours DOC("whether it is ours");
	u8 mac[6] KIND("mac");
	u8 digest[4];
	u16 ports[3];
	s32 deltas[2];
	u64 kernel_stack[8] KIND("kstack");
	u64 address KIND("address");
	const void *pointer;
	struct ip peer;
	char name[8];
	struct {
		u32 inner;
	};
	struct text path KIND("path") DOC("path of it");
	struct text argv KIND("argv") KEY;
};

ROW(language_row, "A row of a snapshot")
{
	u32 pid KIND("pid") KEY;
	char comm[16] KIND("comm");
};

struct language_labels {
	char comm[16] KIND("comm");
	enum colour colour;
	s32 err KIND("errno");
	u16 port KIND("port");
	u8 pad[6];
};
struct language_values {
	u64 count COUNTER DOC("how many");
	u64 even COUNTER DOC("of these with an even number");
	u64 level GAUGE UNIT("bytes");
	HIST_LOG2(took_ns, 32, UNIT("ns") DOC("time taken"));
	HIST_LINEAR(length, 10, 100, 50, DOC("length"));
	HIST_BOUNDS(rtt_us, steps, 3, UNIT("us"));
};
BOUNDS(steps, 100, 500, 2000);
METRICS(totals, struct language_labels, struct language_values, 512, "Totals");
RATIO(totals, even_ratio, even, count, DOC("share of those with an even number"));
RATIO_REST(totals, odd_ratio, even, count, HIDE DOC("share of the others"));
METRICS_PERCPU(totals_per_cpu, struct language_labels, struct language_values, 64, "The same");

SEC("raw_tp/sys_enter")
int everything(void *ctx)
{
	struct language_labels key = {};
	struct language_values *v = row_of(totals, &key);
	struct language *e;

	if (v)
		observe_bounds(v->rtt_us, least + patience + prefix[0] + paint, steps);
	v = row_of(totals_per_cpu, &key);
	if (v)
		observe_linear(v->length, depth, 100, 50);
	if (!wanted() || !loud)
		return 0;
	e = event_new(language);
	if (!e)
		return 0;
	task_now(&e->task);
	event_send(ctx, e);
	return 0;
}

SEC("?iter/task")
ROWS(language_row)
int rows(void *ctx)
{
	struct language_row row = {};

	return bpf_core_type_id_local(typeof(row)) == 0;
}
