/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A policy as `sonda policy fmt` writes it: a statement's first line at the margin, its clauses below it,
 * one a line, indented. Comments stand where they stood: in lines of their own before what followed
 * them, or behind the line that their own line went into.
 */
#include "base/str.h"
#include "base/units.h"
#include "policy/lex.h"
#include "policy/words.h"

struct printer {
	const struct policy *policy;
	struct strbuf *out;
	size_t comment;       /* the next one */
	unsigned source_line; /* the last of the source that went into the line being written */
	bool indented;
};

/* Comments alone in their lines before source line `line`. */
static void comments_before(struct printer *p, unsigned line, bool indented)
{
	for (; p->comment < p->policy->comments.len; p->comment++) {
		const struct policy_comment *c = &p->policy->comments.at[p->comment];

		if (c->line >= line)
			return;
		strbuf_pad(p->out, ' ', indented ? 4 : 0);
		strbuf_puts(p->out, c->text);
		strbuf_putc(p->out, '\n');
	}
}

static void line_begin(struct printer *p, struct policy_at at, bool indented)
{
	comments_before(p, at.line, indented);
	strbuf_pad(p->out, ' ', indented ? 4 : 0);
	p->source_line = at.line;
}

/* Ends the line, with the comment that stood behind it. */
static void line_end(struct printer *p)
{
	const struct policy_comment *c = p->policy->comments.at + p->comment;

	if (p->comment < p->policy->comments.len && !c->alone && c->line <= p->source_line) {
		strbuf_appendf(p->out, "  %s", c->text);
		p->comment++;
	}
	strbuf_putc(p->out, '\n');
}

static void print_values(struct printer *p, const policy_values *values)
{
	vec_for_each(v, values) {
		strbuf_puts(p->out, v == values->at ? " " : ", ");
		lex_write(v, p->out);
		p->source_line = max(p->source_line, v->at.line);
	}
}

static void print_set(struct printer *p, const struct policy_set *set)
{
	struct policy_value list = { .text = set->list };

	line_begin(p, set->at, false);
	strbuf_appendf(p->out, "set %s =", set->name);
	if (set->list) {
		strbuf_puts(p->out, " lines of ");
		lex_write(&list, p->out);
	} else
		print_values(p, &set->values);
	line_end(p);
}

static void print_clause(struct printer *p, const struct policy_clause *c)
{
	if (c->unless || c->word->conditional)
		strbuf_puts(p->out, c->unless ? "unless " : "when ");
	strbuf_puts(p->out, c->word->name);
	if (c->word->conditional && c->word->form)
		strbuf_puts(p->out, " in");
	if (policy_word_second(c->word->word))
		strbuf_appendf(p->out, " %s", policy_word_second(c->word->word));
	print_values(p, &c->values);
}

static void print_amount(struct strbuf *out, uint64_t amount, bool bytes)
{
	static const struct {
		uint64_t size;
		const char *name;
	} units[] = {
		{ 1ull << 40, "TiB" },
		{ 1000000000000ull, "TB" },
		{ 1ull << 30, "GiB" },
		{ 1000000000, "GB" },
		{ 1ull << 20, "MiB" },
		{ 1000000, "MB" },
		{ 1ull << 10, "KiB" },
		{ 1000, "kB" },
		{ 1, "B" },
	};
	size_t i = 0;

	while (bytes && amount % units[i].size)
		i++;
	strbuf_u64(out, bytes ? amount / units[i].size : amount);
	strbuf_puts(out, bytes ? units[i].name : "");
}

/* The largest unit that tells it whole. */
static void print_rate(struct strbuf *out, uint64_t per_hour, bool bytes)
{
	static const struct {
		unsigned in_hour;
		const char *name;
	} times[] = { { 3600, "s" }, { 60, "min" }, { 1, "h" } };
	size_t i = 0;

	while (per_hour % times[i].in_hour)
		i++;
	print_amount(out, per_hour / times[i].in_hour, bytes);
	strbuf_appendf(out, "/%s", times[i].name);
}

static void print_limit(struct printer *p, const struct policy_limit *limit, bool above)
{
	char time[UNIT_TEXT_MAX];

	strbuf_puts(p->out, above ? " above " : " to ");
	print_rate(p->out, limit->per_hour, limit->bytes);
	if (limit->for_ns) {
		duration_format_exact(time, limit->for_ns);
		strbuf_appendf(p->out, " for %s", time);
	}
	if (limit->burst) {
		strbuf_puts(p->out, " burst ");
		print_amount(p->out, limit->burst, limit->bytes);
	}
	if (limit->per)
		strbuf_appendf(p->out, " per %s", policy_per_name(limit->per));
	if (!limit->drop_ns)
		return;
	duration_format_exact(time, limit->drop_ns);
	strbuf_appendf(p->out, ", then drop for %s", time);
}

static bool is_one_bit(unsigned bits)
{
	return !(bits & (bits - 1));
}

/* By the name that they have together, or else by their own. */
static void print_operations(struct printer *p, const struct policy_rule *r)
{
	const char *together = policy_operation_name(r->domain, r->operations), *between = " ";
	const struct policy_operation_row *rows;
	size_t count;

	if (*together) {
		strbuf_appendf(p->out, " %s", together);
		return;
	}
	rows = policy_operations(&count);
	for (size_t i = 0; i < count; i++)
		if (rows[i].domain == r->domain && is_one_bit(rows[i].bits) &&
		    r->operations & rows[i].bits) {
			strbuf_appendf(p->out, "%s%s", between, rows[i].name);
			between = ", ";
		}
}

static void print_objects(struct printer *p, const struct policy_rule *r)
{
	if (!r->object)
		return;
	strbuf_appendf(p->out, " %s%s%s%s", r->object->before, *r->object->name ? " " : "",
		       r->object->name, r->under ? " under" : "");
	print_values(p, &r->objects);
}

/* What a packet must be stands in the line of the verdict, the rest below. */
static bool is_match(const struct policy_clause *c)
{
	return !c->unless && !c->word->conditional && c->word->word != WORD_ACCEPT &&
	       c->word->domains != POLICY_ABOUT(POLICY_DOMAINS) - 1;
}

/* "deny send to port 53": where no network comes before it. */
static bool wants_to(const struct policy_rule *r, const struct policy_clause *c)
{
	const struct policy_clause *to = policy_clause_find(r, WORD_TO, 0);

	return r->domain == POLICY_SOCKET && c->word->word == WORD_PORT && (!to || to->unless);
}

static void print_verdict(struct printer *p, const struct policy_rule *r)
{
	const struct policy_domain_row *domain = policy_domain_row(r->domain);

	line_begin(p, r->verdict_at, true);
	strbuf_puts(p->out, policy_verdict_name(r->verdict));
	if (domain->subject)
		strbuf_appendf(p->out, " %s", domain->subject);
	else
		print_operations(p, r);
	print_objects(p, r);
	vec_for_each(c, &r->clauses)
		if (is_match(c)) {
			strbuf_puts(p->out, wants_to(r, c) ? " to " : " ");
			print_clause(p, c);
			p->source_line = max(p->source_line, c->at.line);
		}
	if (r->cookies)
		strbuf_puts(p->out, " with cookies");
	if (r->limit.per_hour)
		print_limit(p, &r->limit, r->verdict != POLICY_LIMIT);
	line_end(p);
}

static void print_rule(struct printer *p, const struct policy_rule *r)
{
	line_begin(p, r->at, false);
	strbuf_appendf(p->out, "rule %s", r->name);
	if (r->note) {
		strbuf_putc(p->out, ' ');
		lex_quote(r->note, p->out);
	}
	line_end(p);
	print_verdict(p, r);
	vec_for_each(c, &r->clauses)
		if (!is_match(c)) {
			line_begin(p, c->at, true);
			print_clause(p, c);
			line_end(p);
		}
}

/* A printer that has all comments behind it. */
static struct printer without_comments(const struct policy *p, struct strbuf *out)
{
	return (struct printer){ .policy = p, .out = out, .comment = p->comments.len };
}

void policy_print_rule(const struct policy *policy, const struct policy_rule *r, struct strbuf *out)
{
	struct printer p = without_comments(policy, out);

	print_rule(&p, r);
}

static void print_sets_of(struct printer *p, const policy_values *values)
{
	vec_for_each(v, values)
		if (v->is_set)
			print_set(p, policy_set_find(p->policy, v->text));
}

void policy_print_sets(const struct policy *policy, const struct policy_rule *r, struct strbuf *out)
{
	struct printer p = without_comments(policy, out);

	print_sets_of(&p, &r->objects);
	vec_for_each(c, &r->clauses)
		print_sets_of(&p, &c->values);
}

void policy_print(const struct policy *policy, struct strbuf *out)
{
	struct printer p = { .policy = policy, .out = out };
	size_t set = 0, rule = 0, sets = 0;
	bool was_rule = false;

	vec_for_each(s, &policy->sets) /* those that are shipped came last */
		sets += !s->shipped;
	while (set < sets || rule < policy->rules.len) {
		bool is_rule = set == sets ||
			       (rule < policy->rules.len &&
				policy->rules.at[rule].at.line < policy->sets.at[set].at.line);

		if (out->len && (is_rule || was_rule))
			strbuf_putc(out, '\n');
		if (is_rule)
			print_rule(&p, &policy->rules.at[rule++]);
		else
			print_set(&p, &policy->sets.at[set++]);
		was_rule = is_rule;
	}
	comments_before(&p, ~0u, false);
}
