/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy top`: rates of the rules' counts. What is in force is looked at anew each time, so that
 * nobody who changes it has to wait. */
#include "cmd/policy_top.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "base/units.h"
#include "base/vec.h"
#include "enforce/enforce.h"
#include "sink/out.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A rule at one moment, and what it did since the moment before. */
struct line {
	char name[POLICY_NAME];
	bool beside, packets;
	struct policy_count count, since;
};

struct reading {
	vec(struct line) lines;
	uint64_t at_ns;
};

static void rules_take(const struct enforce *f, const struct policy *p, bool beside,
		       struct reading *r)
{
	for (size_t i = 0; p && i < p->rules.len; i++) {
		struct line *line = vec_add(&r->lines);
		struct enforce_rule rule;

		(beside ? enforce_rule_beside : enforce_rule)(f, i, &rule);
		str_copy(line->name, sizeof(line->name), p->rules.at[i].name);
		line->beside = beside;
		line->packets = p->rules.at[i].domain == POLICY_PACKET;
		line->count = rule.count;
	}
}

static int reading_take(const struct enforce_source *source, struct reading *r, struct err *e)
{
	auto_ptr(enforce) f = NULL;
	const struct enforce_state *s;

	if (enforce_open(source, &f, e) < 0)
		return -e->code;
	s = enforce_state(f);
	if (!s->in_force && !s->beside)
		return fail(e, ENOENT, "no policy is in force");
	rules_take(f, s->policy, false, r);
	rules_take(f, s->beside, true, r);
	r->at_ns = clock_mono_ns();
	return 0;
}

/* Counts that went back are of a rule that is new under an old name. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

static void reading_compare(struct reading *now, const struct reading *before)
{
	static const struct line none;

	vec_for_each(l, &now->lines) {
		const struct line *was = &none;

		vec_for_each(old, &before->lines)
			if (old->beside == l->beside && str_eq(old->name, l->name))
				was = old;
		l->since.matched = grown(l->count.matched, was->count.matched);
		l->since.refused = grown(l->count.refused, was->count.refused);
		l->since.would = grown(l->count.would, was->count.would);
		l->since.bytes = grown(l->count.bytes, was->count.bytes);
	}
}

static int by_matched(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->since.matched != y->since.matched)
		return x->since.matched < y->since.matched ? 1 : -1;
	return x->count.matched < y->count.matched   ? 1
	       : x->count.matched > y->count.matched ? -1
						     : 0;
}

static double per_s(uint64_t count, uint64_t ns)
{
	return ns ? (double)count * 1e9 / (double)ns : 0;
}

static void tell_text(const struct reading *r, uint64_t ns, struct strbuf *out)
{
	static const struct table_col cols[] = {
		{ "RULE", .min_cols = 12 },
		{ "", .min_cols = 6 },
		{ "MATCHED/S", .align = TABLE_RIGHT },
		{ "REFUSED/S", .align = TABLE_RIGHT },
		{ "WOULD/S", .align = TABLE_RIGHT },
		{ "BYTES/S", .align = TABLE_RIGHT },
		{ "MATCHED", .align = TABLE_RIGHT },
	};
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO) };
	auto_ptr(table) t = table_new(cols, ARRAY_LEN(cols), style, out);

	vec_for_each(l, &r->lines) {
		char bytes[UNIT_TEXT_MAX];

		bytes_format(bytes, (uint64_t)per_s(l->since.bytes, ns));
		table_str(t, l->name);
		table_str(t, l->beside ? "beside" : "");
		table_cellf(t, TERM_PLAIN, "%.1f", per_s(l->since.matched, ns));
		table_cellf(t, TERM_PLAIN, "%.1f", per_s(l->since.refused, ns));
		table_cellf(t, TERM_PLAIN, "%.1f", per_s(l->since.would, ns));
		table_str(t, l->packets ? bytes : "");
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)l->count.matched);
		table_row_end(t);
	}
	table_settle(t);
	strbuf_putc(out, '\n');
}

static void tell_json(const struct reading *r, uint64_t ns, struct strbuf *out)
{
	vec_for_each(l, &r->lines) {
		const struct {
			const char *name;
			uint64_t value;
		} numbers[] = {
			{ "window_ns", ns },
			{ "matched", l->since.matched },
			{ "refused", l->since.refused },
			{ "would", l->since.would },
			{ "bytes", l->since.bytes },
			{ "matched_all", l->count.matched },
		};
		struct json j = { .out = out };

		json_obj_begin(&j);
		json_key(&j, "rule");
		json_str(&j, l->name);
		json_key(&j, "beside");
		json_bool(&j, l->beside);
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
			json_key(&j, numbers[i].name);
			json_u64(&j, numbers[i].value);
		}
		json_obj_end(&j);
		json_line_end(&j);
	}
}

static int window(const struct enforce_source *source, struct reading *before, uint64_t every_ns,
		  bool json, struct err *e)
{
	const struct timespec pause = { .tv_sec = (time_t)(every_ns / 1000000000),
					.tv_nsec = (long)(every_ns % 1000000000) };
	auto_done(strbuf) out = { 0 };
	struct reading now = { 0 };
	int err;

	nanosleep(&pause, NULL);
	err = reading_take(source, &now, e);
	if (!err) {
		reading_compare(&now, before);
		vec_sort(&now.lines, by_matched);
		(json ? tell_json : tell_text)(&now, now.at_ns - before->at_ns, &out);
		err = out_write(&out, STDOUT_FILENO, -1, e);
	}
	vec_done(&before->lines);
	*before = now;
	return err;
}

int policy_top_print(const struct enforce_source *source, uint64_t every_ns, uint64_t times,
		     const char *format, struct err *e)
{
	bool json = format && str_eq(format, "json");
	struct reading before = { 0 };
	int err = reading_take(source, &before, e);

	for (uint64_t n = 0; !err && (!times || n < times); n++)
		err = window(source, &before, every_ns, json, e);
	vec_done(&before.lines);
	return err;
}
