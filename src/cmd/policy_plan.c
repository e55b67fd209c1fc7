/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy plan`: what applying a policy would change, how each rule would be enforced here, what the
 * guards cost, and what would have been refused of a recording. Nothing comes into force. */
#include "cmd/policy_plan.h"

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/units.h"
#include "cmd/policy_trial.h"
#include "enforce/enforce.h"
#include "enforce/lists.h"
#include "enforce/preview.h"
#include "sink/out.h"

#include <unistd.h>

/* ---- what would change ---- */

enum change { CHANGE_SAME, CHANGE_NEW, CHANGE_OTHER, CHANGE_GONE };

static const char *const change_words[] = { [CHANGE_SAME] = "same",
					    [CHANGE_NEW] = "new",
					    [CHANGE_OTHER] = "changed",
					    [CHANGE_GONE] = "gone" };
static const char change_marks[] = {
	[CHANGE_SAME] = ' ', [CHANGE_NEW] = '+', [CHANGE_OTHER] = '~', [CHANGE_GONE] = '-'
};

struct planned {
	struct strbuf *out;
	bool json;
	unsigned changes;
};

static void text(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_str(j, s);
}

static void number(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_u64(j, n);
}

static const struct policy_rule *namesake(const struct policy *p, const struct policy_rule *r)
{
	if (p)
		vec_for_each(other, &p->rules)
			if (str_eq(other->name, r->name))
				return other;
	return NULL;
}

/* How a rule changes, and what its lists were and would be. */
struct difference {
	enum change change;
	struct policy_lists before, after;
};

static void lists_json(struct json *j, const struct difference *d)
{
	if (d->after.hash)
		number(j, "list_values", d->after.count);
	if (d->before.hash)
		number(j, "list_values_before", d->before.count);
}

static void lists_text(struct planned *plan, const struct difference *d)
{
	if (d->before.hash && d->after.hash && d->before.hash != d->after.hash)
		strbuf_appendf(
			plan->out, "~     # its lists have changed: %llu values, before %llu\n",
			(unsigned long long)d->after.count, (unsigned long long)d->before.count);
}

static void tell(struct planned *plan, const struct difference *d, const struct policy *p,
		 const struct policy_rule *r, const char *strength)
{
	auto_done(strbuf) written = { 0 };
	enum change change = d->change;

	plan->changes += change != CHANGE_SAME;
	policy_print_rule(p, r, &written);
	if (plan->json) {
		struct json j = { .out = plan->out };

		json_obj_begin(&j);
		text(&j, "rule", r->name);
		text(&j, "change", change_words[change]);
		if (strength)
			text(&j, "strength", strength);
		text(&j, "text", strbuf_str(&written));
		lists_json(&j, d);
		json_obj_end(&j);
		json_line_end(&j);
		return;
	}
	for (const char *line = strbuf_str(&written); *line;) {
		size_t len = strcspn(line, "\n");

		strbuf_appendf(plan->out, "%c %.*s\n", change_marks[change], (int)len, line);
		line += len + (line[len] == '\n');
	}
	lists_text(plan, d);
	if (strength)
		strbuf_appendf(plan->out, "%c     # here: %s\n", change_marks[change], strength);
}

/* The same sentence, and its sets with the same values. */
static bool same_rule(const struct policy *a, const struct policy_rule *x, const struct policy *b,
		      const struct policy_rule *y)
{
	auto_done(strbuf) left = { 0 }, right = { 0 };

	policy_print_rule(a, x, &left);
	policy_print_sets(a, x, &left);
	policy_print_rule(b, y, &right);
	policy_print_sets(b, y, &right);
	return str_eq(strbuf_str(&left), strbuf_str(&right));
}

static int rule_compare(const struct enforce *f, const struct policy *next,
			const struct policy_rule *r, struct difference *ret, struct err *e)
{
	const struct policy *now = enforce_state(f)->policy;
	const struct policy_rule *old = namesake(now, r);
	struct enforce_rule told = { 0 };

	if (lists_sum(next, r, &ret->after, e) < 0)
		return -e->code;
	if (old)
		enforce_rule(f, (size_t)(old - now->rules.at), &told);
	ret->before = told.lists;
	ret->change = !old ? CHANGE_NEW
		      : same_rule(now, old, next, r) && ret->before.hash == ret->after.hash
			      ? CHANGE_SAME
			      : CHANGE_OTHER;
	return 0;
}

static int changes_tell(struct planned *plan, const struct enforce *f, const struct policy *next,
			const struct preview *preview, struct err *e)
{
	const struct policy *now = enforce_state(f)->policy;

	vec_for_each(r, &next->rules) {
		struct difference d = { 0 };

		if (rule_compare(f, next, r, &d, e) < 0)
			return -e->code;
		tell(plan, &d, next, r, preview->strength[r - next->rules.at]);
	}
	if (now)
		vec_for_each(r, &now->rules)
			if (!namesake(next, r))
				tell(plan, &(struct difference){ .change = CHANGE_GONE }, now, r,
				     NULL);
	return 0;
}

/* ---- what it costs ---- */

static void guard_text(const struct preview_guard *g, struct strbuf *out)
{
	const struct object_weight *w = &g->weight;
	char programs[UNIT_TEXT_MAX], maps[UNIT_TEXT_MAX], time[UNIT_TEXT_MAX];

	bytes_format(programs, w->program_bytes);
	bytes_format(maps, w->map_bytes);
	duration_format(time, g->cost_ns);
	strbuf_appendf(out, "%s: %u program%s (%llu instructions%s, %s), %s of maps", g->name,
		       w->programs, w->programs == 1 ? "" : "s", (unsigned long long)w->insns,
		       w->insns_are_code ? "" : " verified", programs, maps);
	if (g->has_cost)
		strbuf_appendf(out, "; measured: %s %s", time, g->cost_of);
	else
		strbuf_appendf(out, "; not measured: %s", g->no_cost);
	strbuf_appendf(out, "\n    at %s\n", g->hooks);
}

static void guard_json(const struct preview_guard *g, struct strbuf *out)
{
	const struct object_weight *w = &g->weight;
	struct json j = { .out = out };

	json_obj_begin(&j);
	text(&j, "guard", g->name);
	text(&j, "hooks", g->hooks);
	number(&j, "programs", w->programs);
	number(&j, w->insns_are_code ? "code_insns" : "verified_insns", w->insns);
	number(&j, "program_bytes", w->program_bytes);
	number(&j, "map_bytes", w->map_bytes);
	if (g->has_cost) {
		number(&j, "cost_ns", g->cost_ns);
		text(&j, "cost_of", g->cost_of);
	} else {
		text(&j, "not_measured", g->no_cost);
	}
	json_obj_end(&j);
	json_line_end(&j);
}

int policy_plan_print(const struct enforce *f, const struct enforce_source *source,
		      const struct policy *next, const char *against, const char *format,
		      struct err *e)
{
	auto_done(strbuf) out = { 0 };
	struct planned plan = { .out = &out, .json = format && str_eq(format, "json") };
	struct preview preview = { 0 };
	int err;

	if (preview_make(source, next, &preview, e) < 0)
		return -e->code;
	err = changes_tell(&plan, f, next, &preview, e);
	vec_for_each(g, &preview.guards)
		(plan.json ? guard_json : guard_text)(g, &out);
	preview_done(&preview);
	if (err < 0)
		return err;
	if (!plan.json)
		strbuf_appendf(&out, "%u change%s\n", plan.changes, plan.changes == 1 ? "" : "s");
	if (out_write(&out, STDOUT_FILENO, -1, e) < 0)
		return -e->code;
	return against ? policy_trial_print(next, against, format, e) : 0;
}
