/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the workload says comes back in every form that the language has: tests/live/language.t. It says
 * it by prctl(SAY, value, packed, text, token), a call that fails and does nothing.
 */
#include "sonda.bpf.h"

PROBE(values, "test", "What a process says by prctl(2)");
FILTERS("task errors min=0ns");

enum colour { COLOUR_RED, COLOUR_GREEN, COLOUR_BLUE = 7 };
enum right { RIGHT_READ = 1, RIGHT_WRITE = 2, RIGHT_RUN = 8 };

PARAM(u64, token, 0, DOC("only what is said with it"));
PARAM(bool, loud, false, DOC("a switch"));
PARAM(bool, polite, true, DOC("a switch that is on"));
PARAM(u32, depth, 4, DOC("a number") RANGE(1, 16));
PARAM(s32, shift, 0, DOC("a number with sign") RANGE(-8, 8));
PARAM(enum colour, paint, COLOUR_GREEN, DOC("a choice"));
PARAM(char, letter, 'a', DOC("a character's number"));
PARAM_TEXT(word, 8, "none", DOC("a text"));

#define SAY 0x534f4e44

/* prctl's third argument */
struct packed {
	u64 who : 8, colour : 8, rights : 8, err : 8, low : 3, urgent : 1, nice : 6;
};

struct parameters {
	bool loud;
	bool polite;
	u32 depth;
	s32 shift;
	enum colour paint;
	char word[8];
};
struct place {
	u64 inode KIND("inode");
	struct {
		u16 row, column;
	} at;
};

EVENT(said, "Something was said")
{
	struct task task;
	u64 value DOC("the number");
	s64 difference DOC("the number with sign");
	s32 err KIND("errno");
	u8 who DOC("which of the workload");
	u8 hundred KIND("number");
	enum colour colour;
	enum right rights FLAGS;
	u32 low : 3, urgent : 1;
	s32 nice : 6;
	struct parameters given;
	struct place place;
	u8 mac[6] KIND("mac");
	u16 ports[3];
	s32 deltas[2];
	char name[8] DOC("how the text begins");
	u64 stack[8] KIND("kstack") DOC("where in the kernel");
	struct text path KIND("path") DOC("the text");
};

struct label {
	u8 who;
	u8 pad[3];
	enum colour colour;
} __attribute__((aligned(8)));
struct amounts {
	u64 count COUNTER;
	u64 odd COUNTER DOC("of these with an odd number");
	u64 last GAUGE;
	HIST_LOG2(doubling, 8, DOC("slots that double"));
	HIST_LINEAR(even, 5, 10, 5, DOC("10, 15, 20, 25, 30 and above"));
	HIST_BOUNDS(chosen, steps, 3, DOC("up to 3, 30, 300, and above"));
};
BOUNDS(steps, 3, 30, 300);
METRICS(amounts, struct label, struct amounts, 8, "What was said, by whom");
RATIO(amounts, odd_ratio, odd, count, DOC("share of the odd numbers"));
RATIO_REST(amounts, even_ratio, odd, count, DOC("share of the others"));
METRICS_PERCPU(each_cpu, struct label, struct amounts, 8, "The same, a copy for each CPU");
RATIO(each_cpu, odd_ratio, odd, count, DOC("share of the odd numbers"));
RATIO_REST(each_cpu, even_ratio, odd, count, DOC("share of the others"));
METRICS(fronted, struct label, struct amounts, 8, "The same, with a front");
FRONT(fronted, struct label, struct amounts, 4);
RATIO(fronted, odd_ratio, odd, count, DOC("share of the odd numbers"));
RATIO_REST(fronted, even_ratio, odd, count, DOC("share of the others"));

static __noinline int count(struct amounts *row, u64 value)
{
	if (!row)
		return 0;
	add(row->count, 1);
	add(row->odd, value & 1);
	set_gauge(row->last, value);
	observe(row->doubling, value);
	observe_linear(row->even, value, 10, 5);
	observe_bounds(row->chosen, value, steps);
	return 0;
}

static __noinline int count_all(struct packed *p, u64 value)
{
	struct label key = {};
	u64 id;

	if (label(amounts, 0))
		key.who = p->who;
	if (label(amounts, 2))
		key.colour = p->colour;
	if (table_wanted(amounts))
		count(row_of(amounts, &key), value);
	__builtin_memset(&key, 0, sizeof(key));
	if (label(each_cpu, 0))
		key.who = p->who;
	if (label(each_cpu, 2))
		key.colour = p->colour;
	if (table_wanted(each_cpu))
		count(row_of(each_cpu, &key), value);
	__builtin_memset(&key, 0, sizeof(key));
	if (label(fronted, 0))
		key.who = p->who;
	if (label(fronted, 2))
		key.colour = p->colour;
	id = labels_id(&key, sizeof(key), 0);
	if (table_wanted(fronted))
		count(front_row(fronted, id) ?: front_begin(fronted, id, &key), value);
	return 0;
}

static __noinline int tell(void *ctx, struct packed *p, u64 value, void *text)
{
	struct said *e = event_new(said);

	if (!e)
		return 0;
	task_now(&e->task);
	e->value = value;
	e->difference = value;
	e->err = -(s32)p->err;
	e->who = p->who;
	e->hundred = 100 + p->who;
	e->colour = p->colour;
	e->rights = p->rights;
	e->low = p->low;
	e->urgent = p->urgent;
	e->nice = p->nice;
	e->given.loud = loud;
	e->given.polite = polite;
	e->given.depth = depth;
	e->given.shift = shift;
	e->given.paint = paint;
	for (int i = 0; i < sizeof(e->given.word); i++)
		e->given.word[i] = word[i];
	e->place.inode = value + 1;
	e->place.at.row = p->who;
	e->place.at.column = p->who + 1;
	for (int i = 0; i < 6; i++)
		e->mac[i] = 0x10 * i + p->who;
	for (int i = 0; i < 3; i++)
		e->ports[i] = 1000 * i + p->who;
	e->deltas[0] = -p->who;
	e->deltas[1] = p->who;
	if (text)
		bpf_probe_read_user_str(e->name, sizeof(e->name), text);
	if (text)
		text_user(e, path, text);
	bpf_get_stack(ctx, e->stack, sizeof(e->stack), 0);
	event_send(ctx, e);
	return 0;
}

struct prctl_args {
	u64 common;
	s64 number;
	u64 option, value;
	struct packed packed;
	void *text;
	u64 token;
};

SEC("tp/syscalls/sys_enter_prctl")
int says(struct prctl_args *ctx)
{
	struct packed packed = ctx->packed;

	if (ctx->option != SAY || ctx->token != token)
		return 0;
	if (!wanted() || !notable(-(s32)packed.err, ctx->value))
		return 0;
	if (tables_wanted())
		count_all(&packed, ctx->value);
	return events_wanted() ? tell(ctx, &packed, ctx->value, ctx->text) : 0;
}
