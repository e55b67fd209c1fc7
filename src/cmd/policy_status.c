/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy status`. */
#include "cmd/policy_status.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/table.h"
#include "base/units.h"
#include "enforce/enforce.h"
#include "enforce/packet.h"
#include "sink/out.h"

#include <errno.h>
#include <unistd.h>

enum { FLOODS_SHOWN = 20 }; /* as text */

/* ---- status ---- */

static const char *mode_word(const struct enforce_rule *r)
{
	if (r->expired)
		return "expired";
	if (r->tripped)
		return "tripped";
	return r->mode == POLICY_AUDIT ? "audit" : "enforce";
}

static enum term_style mode_style(const struct enforce_rule *r)
{
	return r->expired || r->tripped ? TERM_YELLOW : TERM_PLAIN;
}

static void head_text(const struct enforce_state *s, struct strbuf *out)
{
	char time[UNIT_TEXT_MAX];

	if (s->fell_back)
		strbuf_puts(
			out,
			"the policy applied last was not confirmed in time; what was before it came back\n");
	if (!s->in_force) {
		strbuf_puts(out, "no policy is in force\n");
		return;
	}
	duration_format(time, clock_real_ns() - s->applied_ns);
	strbuf_appendf(out, "in force since %s: %zu rule%s\n", time, s->policy->rules.len,
		       s->policy->rules.len == 1 ? "" : "s");
	if (!s->waits_ns)
		return;
	duration_format(time, s->waits_ns);
	strbuf_appendf(out, "to be confirmed within %s, or what was before comes back\n", time);
}

static void how_cell(struct table *t, const struct enforce_rule *r)
{
	char time[UNIT_TEXT_MAX];

	if (!r->expires_in_ns) {
		table_str(t, r->strength);
		return;
	}
	duration_format(time, r->expires_in_ns);
	table_cellf(t, TERM_PLAIN, "%s, expires in %s", r->strength, time);
}

/* Of the policy in force, or of the one beside it. */
typedef void rule_fn(const struct enforce *f, size_t nth, struct enforce_rule *ret);

static void rules_text(struct enforce *f, const struct policy *p, rule_fn *read, struct strbuf *out)
{
	static const struct table_col cols[] = {
		{ "RULE", .min_cols = 12 },
		{ "MODE", .min_cols = 7 },
		{ "MATCHED", .align = TABLE_RIGHT },
		{ "REFUSED", .align = TABLE_RIGHT },
		{ "WOULD", .align = TABLE_RIGHT },
		{ "BYTES", .align = TABLE_RIGHT },
		{ "SUPPRESSED", .align = TABLE_RIGHT },
		{ "UNTOLD", .align = TABLE_RIGHT },
		{ "HOW" },
	};
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO),
				     .colour = term_has_colour(STDOUT_FILENO) };
	auto_ptr(table) t = table_new(cols, ARRAY_LEN(cols), style, out);

	for (size_t i = 0; i < p->rules.len; i++) {
		struct enforce_rule r;
		char bytes[UNIT_TEXT_MAX];

		read(f, i, &r);
		enforce_look(f, p, i, &r);
		bytes_format(bytes, r.count.bytes);
		table_str(t, p->rules.at[i].name);
		table_cellf(t, mode_style(&r), "%s", mode_word(&r));
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)r.count.matched);
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)r.count.refused);
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)r.count.would);
		table_str(t, p->rules.at[i].domain != POLICY_FILE && r.count.bytes ? bytes : "");
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)r.count.suppressed);
		table_cellf(t, TERM_PLAIN, "%llu", (unsigned long long)r.count.untold);
		how_cell(t, &r);
		table_row_end(t);
	}
	table_settle(t);
}

static void number(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_u64(j, n);
}

static void text(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_str(j, s);
}

static void rules_json(struct enforce *f, const struct policy *p, rule_fn *read, struct strbuf *out)
{
	for (size_t i = 0; i < p->rules.len; i++) {
		struct json j = { .out = out };
		struct enforce_rule r;

		read(f, i, &r);
		enforce_look(f, p, i, &r);
		json_obj_begin(&j);
		text(&j, "rule", p->rules.at[i].name);
		json_key(&j, "beside");
		json_bool(&j, p == enforce_state(f)->beside);
		text(&j, "mode", mode_word(&r));
		number(&j, "matched", r.count.matched);
		number(&j, "refused", r.count.refused);
		number(&j, "would", r.count.would);
		number(&j, "bytes", r.count.bytes);
		number(&j, "suppressed", r.count.suppressed);
		number(&j, "untold", r.count.untold);
		if (r.expires_in_ns)
			number(&j, "expires_in_ns", r.expires_in_ns);
		text(&j, "strength", r.strength);
		json_key(&j, "attached");
		json_bool(&j, r.attached);
		json_obj_end(&j);
		json_line_end(&j);
	}
}

static void head_json(const struct enforce_state *s, struct strbuf *out)
{
	struct json j = { .out = out };

	json_obj_begin(&j);
	json_key(&j, "in_force");
	json_bool(&j, s->in_force);
	json_key(&j, "fell_back");
	json_bool(&j, s->fell_back);
	if (s->beside) {
		number(&j, "beside_rules", s->beside->rules.len);
		number(&j, "beside_applied_ns", s->beside_applied_ns);
	}
	if (s->in_force) {
		number(&j, "rules", s->policy->rules.len);
		number(&j, "applied_ns", s->applied_ns);
		number(&j, "waits_ns", s->waits_ns);
	}
	json_obj_end(&j);
	json_line_end(&j);
}

static void beside_text(const struct enforce_state *s, struct strbuf *out)
{
	char time[UNIT_TEXT_MAX];

	duration_format(time, clock_real_ns() - s->beside_applied_ns);
	strbuf_appendf(out, "beside it since %s, only counted and told: %zu rule%s\n", time,
		       s->beside->rules.len, s->beside->rules.len == 1 ? "" : "s");
}

/* Counts of no rule. */
static void count_text(const char *what, uint64_t count, void *ctx)
{
	strbuf_appendf(ctx, "%llu packets: %s\n", (unsigned long long)count, what);
}

static void count_json(const char *what, uint64_t count, void *ctx)
{
	struct json j = { .out = ctx };

	json_obj_begin(&j);
	text(&j, "found", what);
	number(&j, "packets", count);
	json_obj_end(&j);
	json_line_end(&j);
}

/* Whose packets are dropped for a while. */
struct flood_list {
	struct strbuf *out;
	bool json;
	size_t count;
};

static void flood_tell(const struct enforce_flood *flood, void *ctx)
{
	char time[UNIT_TEXT_MAX], bytes[UNIT_TEXT_MAX];
	struct flood_list *list = ctx;
	struct json j = { .out = list->out };

	list->count++;
	if (list->json) {
		json_obj_begin(&j);
		text(&j, "flood", flood->of);
		text(&j, "of_rule", flood->rule);
		number(&j, "ends_in_ns", flood->left_ns);
		number(&j, "packets", flood->packets);
		number(&j, "bytes", flood->bytes);
		json_obj_end(&j);
		json_line_end(&j);
		return;
	}
	if (list->count > FLOODS_SHOWN)
		return;
	duration_format(time, flood->left_ns);
	bytes_format(bytes, flood->bytes);
	strbuf_appendf(list->out,
		       "flood, rule %s: %s dropped for %s more; so far %llu packets, %s\n",
		       flood->rule, flood->of, time, (unsigned long long)flood->packets, bytes);
}

static int floods_print(struct enforce *f, bool json, struct strbuf *out, struct err *e)
{
	struct flood_list list = { .out = out, .json = json };

	if (enforce_floods(f, flood_tell, &list, e) < 0)
		return -e->code;
	if (!json && list.count > FLOODS_SHOWN)
		strbuf_appendf(out, "and %zu floods more\n", list.count - FLOODS_SHOWN);
	return 0;
}

/* Interfaces that came after the policy. */
static void uncovered_text(const struct policy_rule *r, const char *interface, void *ctx)
{
	strbuf_appendf(ctx, "%s is not guarded: rule %s (line %u) %s: apply the policy again\n",
		       interface, r->name, r->at.line,
		       rule_names_interfaces(r) ? "names it, but does not stand there any more"
						: "has no `on`, and it came later");
}

static void uncovered_json(const struct policy_rule *r, const char *interface, void *ctx)
{
	struct json j = { .out = ctx };

	json_obj_begin(&j);
	text(&j, "uncovered", interface);
	text(&j, "of_rule", r->name);
	json_obj_end(&j);
	json_line_end(&j);
}

int policy_status_print(struct enforce *f, const char *format, struct err *e)
{
	const struct enforce_state *s = enforce_state(f);
	bool json = format && str_eq(format, "json");
	auto_done(strbuf) out = { 0 };

	(json ? head_json : head_text)(s, &out);
	if (s->in_force)
		(json ? rules_json : rules_text)(f, s->policy, enforce_rule, &out);
	if (s->beside && !json)
		beside_text(s, &out);
	if (s->beside)
		(json ? rules_json : rules_text)(f, s->beside, enforce_rule_beside, &out);
	if ((s->in_force || s->beside) &&
	    (enforce_counts(f, json ? count_json : count_text, &out, e) < 0 ||
	     floods_print(f, json, &out, e) < 0 ||
	     enforce_uncovered(f, json ? uncovered_json : uncovered_text, &out, e) < 0))
		return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}
