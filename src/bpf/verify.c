/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads all programs, or each on its own where one is refused, and reads what the verifier said. */
#include "bpf/verify.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/str.h"
#include "bpf/advice.h"
#include "bpf/capture.h"
#include "bpf/casts.h"
#include "bpf/parts.h"

enum {
	LOG_BYTES = 16 * 1024 * 1024, /* pages are taken only as far as they are written */
	LOG_TEXT = 1,                 /* BPF_LOG_LEVEL1: what led to a refusal */
	LOG_STATS = 4,
	STATS_BYTES = 16 * 1024, /* of a log that has only LOG_STATS */
};

/* ---- the log ---- */

/* "12: (85) call ...", "12: R1=ctx()", "from 3 to 7: R0=..." and other lines of the trace. */
static bool is_trace(const char *line)
{
	static const char *const words[] = { "from ",
					     "func#",
					     "Func#",
					     "mark_precise",
					     "last_idx",
					     "regs=",
					     "parent ",
					     "propagating",
					     "caller:",
					     "callee:",
					     "returning from",
					     "frame",
					     "reg type unsupported for",
					     "Validating ",
					     "Live regs" };
	const char *end = line;

	while (isdigit((unsigned char)*end))
		end++;
	if (end > line && *end == ':')
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_startswith(line, words[i]))
			return true;
	return false;
}

static bool is_closing(const char *line)
{
	return str_startswith(line, "processed ") || str_startswith(line, "verification time") ||
	       str_startswith(line, "stack depth") || str_startswith(line, "arg#");
}

/* "; C SOURCE @ FILE:LINE"; before 6.8 only the source. */
static void source_read(char *line, struct verdict *v)
{
	char *at = NULL, *colon, *end;
	unsigned long number;

	v->source = line + 2;
	v->file = "";
	v->line = 0;
	for (char *next = line; (next = strstr(next, " @ ")); next += 3)
		at = next;
	colon = at ? strrchr(at, ':') : NULL;
	if (!colon)
		return;
	number = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end)
		return;
	*at = *colon = '\0';
	v->file = at + 3;
	v->line = (unsigned)number;
}

/* "stack depth 24+0+16": a figure for each function. */
static uint32_t stack_deepest(const char *figures)
{
	unsigned long deepest = 0, n;
	char *end;

	for (const char *at = figures; isdigit((unsigned char)*at);
	     at = *end == '+' ? end + 1 : end) {
		n = strtoul(at, &end, 10);
		deepest = max(deepest, n);
	}
	return (uint32_t)deepest;
}

static void closing_read(const char *line, struct verdict *v)
{
	unsigned insns;

	if (sscanf(line, "processed %u insns", &insns) == 1)
		v->insns = insns;
	else if (str_startswith(line, "stack depth "))
		v->stack_bytes = stack_deepest(line + strlen("stack depth "));
}

/* The trace ends with one or more lines of plain words; the last of them counts, and the first that the
 * table knows gives the advice. */
static void words_read(char *line, bool follows_words, struct verdict *v)
{
	const struct advice *advice = advice_find(line);

	if (!follows_words)
		v->advice = "";
	v->words = line;
	if (advice && !*v->advice)
		v->advice = advice->remedy;
}

void verify_read_log(char *log, struct verdict *v)
{
	bool follows_words = false;
	char *source = NULL, *next;

	v->source = v->file = v->words = v->advice = "";
	for (char *line = log; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!*line)
			continue;
		if (line[0] == ';') {
			/* what the compiler made has no source: "; ", ";  @ x.bpf.c:0" */
			if (line[1] == ' ' && line[2] && line[2] != ' ')
				source = line;
		} else if (is_closing(line)) {
			closing_read(line, v);
		} else if (is_trace(line)) {
			follows_words = false;
		} else {
			words_read(line, follows_words, v);
			follows_words = true;
		}
	}
	if (source)
		source_read(source, v);
}

/* ---- the programs ---- */

/* Loads only `p`, with the log at that level in `log`. Returns 0 or a positive errno; `ret_gate` says so if it
 * was a gate that refused it. */
static int load_alone(struct object *o, struct program_part *p, unsigned level, char *log,
		      struct err *ret_gate, struct err *e)
{
	if (object_reopen(o, e) < 0)
		return e->code;
	vec_for_each(other, &o->programs)
		other->chosen = other == p;
	/* in the new handle, as a gate may choose the target: not in one that was loaded */
	if (program_gate(o, p, 1, ret_gate) < 0)
		return ret_gate->code;
	if (object_apply(o, e) < 0)
		return e->code;
	log[0] = '\0';
	bpf_program__set_log_buf(p->handle, log, LOG_BYTES);
	bpf_program__set_log_level(p->handle, level);
	capture_begin();
	return -bpf_object__load(o->bpf);
}

static void verdict_sizes(const struct program_part *p, struct verdict *v)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(p->handle), &info, &len))
		return;
	v->xlated_bytes = info.xlated_prog_len;
	v->jited_bytes = info.jited_prog_len;
	if (info.verified_insns)
		v->insns = info.verified_insns;
}

/* What libbpf itself refused, before the kernel saw it. */
static void verdict_blame(struct verdict *v, char *words, size_t size)
{
	struct blame blame;

	capture_blame(capture_text(), &blame);
	if (blame.words_len)
		str_format(words, size, "%.*s", (int)blame.words_len, blame.words);
	else
		str_copy(words, size, strerror(v->code));
	v->words = words;
}

static struct verdict verdict_begin(const struct program_part *p)
{
	struct verdict v = { .program = p->told.name,
			     .hook = p->told.hook,
			     .slot = p->told.slot,
			     .rank = p->told.rank };

	v.file = v.source = v.words = v.advice = v.log = "";
	return v;
}

static int verdict_skipped(const struct program_part *p, const struct err *why, verdict_fn *fn,
			   void *ctx)
{
	struct verdict v = verdict_begin(p);

	v.skipped = true;
	v.code = why->code;
	v.words = why->text;
	return fn(&v, ctx);
}

/* What the log says, which is cut up in `copy`. */
static void verdict_read(struct verdict *v, const struct program_part *p, const char *log,
			 char *copy)
{
	v->log = log;
	str_copy(copy, LOG_BYTES, log);
	verify_read_log(copy, v);
	if (!v->loads)
		return;
	verdict_sizes(p, v);
	v->words = v->advice = v->source = v->file = "";
	v->line = 0;
}

static int verify_program(struct object *o, struct program_part *p, char *log, char *copy,
			  verdict_fn *fn, void *ctx, struct err *e)
{
	struct verdict v = verdict_begin(p);
	struct err gate = { 0 };
	char words[512];

	v.code = load_alone(o, p, LOG_STATS, log, &gate, e);
	if (v.code && !gate.code && !e->code)
		v.code = load_alone(o, p, LOG_TEXT | LOG_STATS, log, &gate, e);
	if (e->code)
		return -e->code;
	if (gate.code)
		return verdict_skipped(p, &gate, fn, ctx);
	if (v.code == EPERM && geteuid())
		return fail_as(e, EXIT_DENIED, EPERM, "loading BPF programs is not permitted");
	v.loads = !v.code;
	verdict_read(&v, p, log, copy);
	if (!v.loads && !*v.words)
		verdict_blame(&v, words, sizeof(words));
	return fn(&v, ctx);
}

/* ---- all of them ---- */

/* Loads what the gates let pass, each with a log of its own in `logs`. False: not all of it loads. */
static bool load_together(struct object *o, char *logs)
{
	struct err ignored = { 0 };
	char *log = logs;

	if (object_reopen(o, &ignored) < 0)
		return false;
	vec_for_each(p, &o->programs)
		p->chosen = program_gate(o, p, 1, &p->why) >= 0;
	if (object_apply(o, &ignored) < 0)
		return false;
	vec_for_each(p, &o->programs) {
		*log = '\0';
		bpf_program__set_log_buf(p->handle, log, STATS_BYTES);
		bpf_program__set_log_level(p->handle, LOG_STATS);
		log += STATS_BYTES;
	}
	capture_begin();
	return !bpf_object__load(o->bpf);
}

static int verify_together(struct object *o, const char *logs, char *copy, verdict_fn *fn,
			   void *ctx)
{
	const char *log = logs;
	int code = 0;

	vec_for_each(p, &o->programs) {
		struct verdict v = verdict_begin(p);

		if (p->chosen) {
			v.loads = true;
			verdict_read(&v, p, log, copy);
		}
		code = p->chosen ? fn(&v, ctx) : verdict_skipped(p, &p->why, fn, ctx);
		if (code)
			break;
		log += STATS_BYTES;
	}
	return code;
}

static int verify_each(struct object *o, char *copy, verdict_fn *fn, void *ctx, struct err *e)
{
	auto_free char *log = xmalloc(LOG_BYTES);
	int code = 0;

	vec_for_each(p, &o->programs) {
		code = verify_program(o, p, log, copy, fn, ctx, e);
		if (code)
			break;
	}
	return code;
}

int verify_object(struct object *o, verdict_fn *fn, void *ctx, struct err *e)
{
	auto_free char *logs = xmalloc(o->programs.len * STATS_BYTES + 1);
	auto_free char *copy = xmalloc(LOG_BYTES);
	struct err reopened = { 0 };
	int code;

	if (o->loaded)
		return fail(e, EBUSY, "'%s' is already loaded", o->name);
	err_clear(e);
	if (casts_settle(o, e) < 0)
		return -e->code;
	code = load_together(o, logs) ? verify_together(o, logs, copy, fn, ctx)
				      : verify_each(o, copy, fn, ctx, e);
	vec_for_each(p, &o->programs) {
		p->chosen = false;
		err_clear(&p->why);
	}
	if (object_reopen(o, &reopened) < 0 && !code) {
		*e = reopened;
		code = -e->code;
	}
	return code;
}
