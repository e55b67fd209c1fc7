/* SPDX-License-Identifier: BSD-2-Clause */
/* Text -> tree. One token of look-ahead; what it means as a whole is check.c's. */
#include "policy/parse.h"

#include "abi/policy.h"
#include "base/err.h"
#include "base/str.h"
#include "base/units.h"
#include "policy/lex.h"
#include "policy/words.h"

#include <assert.h>
#include <errno.h>

struct parser {
	struct lexer lexer;
	struct lex_token token; /* the next one */
	struct policy *policy;
	enum policy_form form; /* of the values before it */
};

static int advance(struct parser *p, struct err *e)
{
	free(p->token.text);
	p->token.text = NULL;
	if (lex_next(&p->lexer, &p->token, e) < 0)
		return policy_wrap(p->policy, p->token.at, e);
	return 0;
}

/* What stands there, for messages. */
static const char *token_text(const struct lex_token *t)
{
	switch (t->type) {
	case LEX_END:
		return "the end";
	case LEX_COMMA:
		return "','";
	case LEX_EQUALS:
		return "'='";
	case LEX_WORD:
	case LEX_STRING:
	case LEX_SET:
		return t->text;
	}
	return "";
}

static int unexpected(struct parser *p, const char *expected, struct err *e)
{
	const struct lex_token *t = &p->token;
	bool quote = t->type == LEX_WORD || t->type == LEX_STRING;

	if (t->type == LEX_SET)
		fail_as(e, EXIT_POLICY, EINVAL, "expected %s, there stands '@%s'", expected,
			t->text);
	else
		fail_as(e, EXIT_POLICY, EINVAL, "expected %s, there stands %s%s%s", expected,
			quote ? "'" : "", token_text(t), quote ? "'" : "");
	return policy_wrap(p->policy, t->at, e);
}

static bool at_word(const struct parser *p, const char *word)
{
	return p->token.type == LEX_WORD && str_eq(p->token.text, word);
}

/* Goes behind `word` if it stands there. */
static int accept_word(struct parser *p, const char *word, bool *ret_there, struct err *e)
{
	*ret_there = at_word(p, word);
	return *ret_there ? advance(p, e) : 0;
}

static int expect_word(struct parser *p, const char *word, struct err *e)
{
	char expected[64];

	if (at_word(p, word))
		return advance(p, e);
	(void)str_format(expected, sizeof(expected), "'%s'", word);
	return unexpected(p, expected, e);
}

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	return len && len < POLICY_NAME &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       len;
}

static int take_name(struct parser *p, const char *what, char **ret_name, struct err *e)
{
	char expected[128];

	if (p->token.type == LEX_WORD && is_name(p->token.text)) {
		*ret_name = TAKE_PTR(p->token.text);
		return advance(p, e);
	}
	(void)str_format(expected, sizeof(expected),
			 "the name of a %s (letters, digits, . _ -, at most %u)", what,
			 POLICY_NAME - 1);
	return unexpected(p, expected, e);
}

static int take_value(struct parser *p, policy_values *values, const char *expected, struct err *e)
{
	enum lex_type type = p->token.type;

	if (type != LEX_WORD && type != LEX_STRING && type != LEX_SET)
		return unexpected(p, expected, e);
	vec_push(values, ((struct policy_value){ .text = TAKE_PTR(p->token.text),
						 .is_set = type == LEX_SET,
						 .at = p->token.at }));
	return advance(p, e);
}

static int take_values(struct parser *p, policy_values *values, const char *expected, struct err *e)
{
	for (;;) {
		if (take_value(p, values, expected, e) < 0)
			return -e->code;
		if (p->token.type != LEX_COMMA)
			return 0;
		if (advance(p, e) < 0)
			return -e->code;
	}
}

/* ---- sets ---- */

static int parse_set(struct parser *p, struct err *e)
{
	struct policy_set *set = vec_add(&p->policy->sets);
	bool lines;

	set->at = p->token.at;
	if (take_name(p, "set", &set->name, e) < 0)
		return -e->code;
	if (p->token.type != LEX_EQUALS)
		return unexpected(p, "'='", e);
	if (advance(p, e) < 0 || accept_word(p, "lines", &lines, e) < 0)
		return -e->code;
	if (!lines)
		return take_values(p, &set->values, "a value", e);
	if (expect_word(p, "of", e) < 0)
		return -e->code;
	if (p->token.type != LEX_WORD && p->token.type != LEX_STRING)
		return unexpected(p, "the path of a list", e);
	set->list = TAKE_PTR(p->token.text);
	set->list_at = p->token.at;
	return advance(p, e);
}

/* ---- rules ---- */

static int unknown(struct parser *p, const char *what, suggest_fn *nth, const void *ctx,
		   struct err *e)
{
	name_unknown(what, p->token.text, nth, ctx, e);
	e->exit_class = EXIT_POLICY;
	return policy_wrap(p->policy, p->token.at, e);
}

/* All operations of a rule are of one domain. */
static int operation_strange(struct parser *p, const struct policy_rule *r,
			     const struct policy_operation_row *row, struct err *e)
{
	fail_as(e, EXIT_POLICY, EINVAL, "'%s' is about %s; this rule is about %s", row->name,
		policy_domain_name(row->domain), policy_domain_name(r->domain));
	hint(e, "write a rule for each");
	return policy_wrap(p->policy, p->token.at, e);
}

static int take_operation(struct parser *p, struct policy_rule *r, struct err *e)
{
	const struct policy_operation_row *row;

	if (p->token.type != LEX_WORD)
		return unexpected(p, "an operation such as read or exec", e);
	row = policy_operation_find(p->token.text);
	if (!row)
		return unknown(p, "operation", policy_operation_nth, NULL, e);
	if (r->operations && row->domain != r->domain)
		return operation_strange(p, r, row, e);
	r->domain = row->domain;
	r->operations |= row->bits;
	return advance(p, e);
}

/* What operations that can't be without an object lack; NULL: nothing. */
static const struct policy_object_row *object_needed(const struct policy_rule *r)
{
	size_t count;
	const struct policy_object_row *rows = policy_objects(&count);

	for (size_t i = 0; i < count; i++)
		if (rows[i].domains & POLICY_ABOUT(r->domain) && rows[i].needed & r->operations)
			return &rows[i];
	return NULL;
}

static int object_missing(struct parser *p, const struct policy_object_row *row, struct err *e)
{
	char expected[128];

	(void)str_format(expected, sizeof(expected), "',' and another operation, or '%s %s'",
			 row->before, row->name);
	return unexpected(p, expected, e);
}

/* "file", behind "of" */
static int take_object(struct parser *p, struct policy_rule *r, const char *before, struct err *e)
{
	auto_done(strbuf) expected = { 0 };
	const struct policy_object_row *row;

	if (p->token.type == LEX_WORD)
		r->object = policy_object_find(r->domain, before, p->token.text);
	if (r->object)
		return advance(p, e);
	for (size_t i = 0; (row = policy_object_nth(r->domain, before, i)); i++)
		strbuf_appendf(&expected, "%s'%s'", i ? " or " : "", row->name);
	return unexpected(p, strbuf_str(&expected), e);
}

/* "of file [under] PATHS", "to USERS" */
static int parse_objects(struct parser *p, struct policy_rule *r, struct err *e)
{
	char before[8];

	str_copy(before, sizeof(before), p->token.text);
	r->object_at = p->token.at;
	if (advance(p, e) < 0)
		return -e->code;
	r->object = policy_object_find(r->domain, before, "");
	if ((!r->object && take_object(p, r, before, e) < 0) ||
	    (r->object->under && accept_word(p, "under", &r->under, e) < 0))
		return -e->code;
	p->form = r->object->form;
	return take_values(p, &r->objects, policy_form_name(p->form), e);
}

static bool at_object(const struct parser *p, const struct policy_rule *r)
{
	return (at_word(p, "of") || at_word(p, "to")) &&
	       policy_object_nth(r->domain, p->token.text, 0);
}

/* "read, write of file /etc/shadow" */
static int parse_operations(struct parser *p, struct policy_rule *r, struct err *e)
{
	const struct policy_object_row *needed;

	for (;;) {
		if (take_operation(p, r, e) < 0)
			return -e->code;
		if (p->token.type != LEX_COMMA)
			break;
		if (advance(p, e) < 0)
			return -e->code;
	}
	if (at_object(p, r))
		return parse_objects(p, r, e);
	needed = object_needed(r);
	return needed ? object_missing(p, needed, e) : 0;
}

/* "1000/s": a number, a slash, a letter; which no network is. */
static bool is_rate(const struct lex_token *t)
{
	const char *slash = t->type == LEX_WORD ? strchr(t->text, '/') : NULL;

	return slash && slash > t->text && slash[1] >= 'a' && slash[1] <= 'z';
}

/* "10MiB/s" */
static bool is_byte_rate(const struct lex_token *t)
{
	const char *slash = is_rate(t) ? strchr(t->text, '/') : NULL;

	return slash && (slash[-1] == 'B' || slash[-1] == 'b');
}

static int parse_per(struct parser *p, struct policy_limit *limit, struct err *e)
{
	for (enum policy_per per = PER_SOURCE; per < PER_COUNT; per++)
		if (at_word(p, policy_per_name(per))) {
			limit->per = per;
			return advance(p, e);
		}
	return unexpected(p, "'source', 'network', 'destination' or 'port'", e);
}

static int take_number(struct parser *p, const char *expected, uint64_t *ret,
		       int (*parse)(const char *, uint64_t *, struct err *), struct err *e)
{
	if (p->token.type != LEX_WORD || parse(p->token.text, ret, e) < 0 || !*ret)
		return unexpected(p, expected, e);
	return advance(p, e);
}

/* What guards can count. */
#define DROP_MAX_NS (1600ull * 86400 * 1000000000)

static int take_drop_time(struct parser *p, struct policy_limit *limit, struct err *e)
{
	struct policy_at at = p->token.at;

	if (take_number(p, "a time such as 10m", &limit->drop_ns, duration_parse, e) < 0)
		return -e->code;
	if (limit->drop_ns <= DROP_MAX_NS)
		return 0;
	fail_as(e, EXIT_POLICY, ERANGE, "expected a time of at most 1600d");
	return policy_wrap(p->policy, at, e);
}

/* ", then drop for 10m" */
static int parse_then(struct parser *p, struct policy_limit *limit, struct err *e)
{
	bool comma = p->token.type == LEX_COMMA;

	if (comma && advance(p, e) < 0)
		return -e->code;
	if (!at_word(p, "then"))
		return comma ? unexpected(p, "'then drop for TIME'", e) : 0;
	if (advance(p, e) < 0 || expect_word(p, "drop", e) < 0 || expect_word(p, "for", e) < 0)
		return -e->code;
	return take_drop_time(p, limit, e);
}

/* "1000/s burst 200 per source, then drop for 10m", "10MiB/s", behind "to"; "1000/s for 3s ...", behind "above" */
static int parse_rate(struct parser *p, struct policy_rule *r, bool above, struct err *e)
{
	struct policy_limit *limit = &r->limit;
	bool there;

	if (limit->per_hour) {
		fail_as(e, EXIT_POLICY, EINVAL, "the rate is said twice");
		return policy_wrap(p->policy, p->token.at, e);
	}
	limit->bytes = is_byte_rate(&p->token);
	if (limit->bytes && r->verdict == POLICY_ANSWER) {
		fail_as(e, EXIT_POLICY, EINVAL,
			"'%s': SYNs are counted, not their bytes: expected a rate such as 1000/s",
			p->token.text);
		return policy_wrap(p->policy, p->token.at, e);
	}
	if (take_number(p,
			r->verdict == POLICY_ANSWER ? policy_form_name(FORM_RATE)
						    : "a rate such as 100/min or 10MiB/s",
			&limit->per_hour, limit->bytes ? byte_rate_parse : rate_parse, e) < 0 ||
	    accept_word(p, above ? "for" : "burst", &there, e) < 0)
		return -e->code;
	if (there && above &&
	    take_number(p, "a time such as 3s", &limit->for_ns, duration_parse, e) < 0)
		return -e->code;
	if (there && !above &&
	    take_number(p,
			limit->bytes ? "how many bytes may come at once, such as 64KiB"
				     : "how many may come at once",
			&limit->burst, limit->bytes ? bytes_parse : number_parse, e) < 0)
		return -e->code;
	if (accept_word(p, "per", &there, e) < 0 || (there && parse_per(p, limit, e) < 0))
		return -e->code;
	return r->verdict == POLICY_ANSWER ? 0 : parse_then(p, limit, e);
}

static int word_refused(struct parser *p, const struct policy_rule *r,
			const struct policy_word_row *row, struct err *e)
{
	auto_done(strbuf) domains = { 0 };

	if (!row && p->form && policy_form_check(p->form, p->token.text, e) == 0)
		return unexpected(p, "',' between values", e);
	if (!row)
		return unknown(p, "word", policy_word_nth, &r->domain, e);
	policy_domains_name(row->domains, &domains);
	fail_as(e, EXIT_POLICY, EINVAL, "'%s' is said of %s; this rule is about %s", row->name,
		strbuf_str(&domains), policy_domain_name(r->domain));
	return policy_wrap(p->policy, p->token.at, e);
}

/* "out" makes a rule about packets one about packets that leave. false: the word has no place in it. */
static bool domain_narrow(struct policy_rule *r, const struct policy_word_row *word)
{
	unsigned fits = word->domains & policy_domains_open(r->domain);

	if (!fits)
		return false;
	while (!(fits & POLICY_ABOUT(r->domain)))
		r->domain++;
	return true;
}

static int parse_clause(struct parser *p, struct policy_rule *r, struct err *e)
{
	struct policy_clause *c = vec_add(&r->clauses);
	bool when;

	c->at = p->token.at;
	if (accept_word(p, "unless", &c->unless, e) < 0)
		return -e->code;
	if (accept_word(p, "when", &when, e) < 0)
		return -e->code;
	if (p->token.type != LEX_WORD)
		return unexpected(p, policy_domain_row(r->domain)->expected, e);
	c->word = policy_word_find(r->domain, p->token.text);
	if (!c->word || !domain_narrow(r, c->word))
		return word_refused(p, r, c->word, e);
	if (c->word->conditional && !when && !c->unless)
		return unexpected(p, "'when' or 'unless' before it", e);
	if ((when || c->unless) && (c->word->single || c->word->word == WORD_ACCEPT))
		return unexpected(p, "a condition", e);
	if (advance(p, e) < 0 ||
	    (c->word->conditional && c->word->form && expect_word(p, "in", e) < 0))
		return -e->code;
	if (policy_word_second(c->word->word) &&
	    expect_word(p, policy_word_second(c->word->word), e) < 0)
		return -e->code;
	p->form = c->word->form;
	if (c->word->form == FORM_NONE)
		return 0;
	if (c->word->single)
		return take_value(p, &c->values, policy_form_name(c->word->form), e);
	return take_values(p, &c->values, policy_form_name(c->word->form), e);
}

/* What `mirror packet to` and `redirect packet to` are followed by, unless it is a network. */
static bool is_target(const struct parser *p, const struct policy_rule *r)
{
	struct policy_network network;
	struct err ignored;

	return (r->verdict == POLICY_MIRROR || r->verdict == POLICY_REDIRECT) &&
	       p->token.type != LEX_SET && p->token.text &&
	       policy_network_parse(p->token.text, &network, &ignored) < 0 &&
	       policy_form_check(FORM_INTERFACE, p->token.text, &ignored) == 0;
}

/* "to" is followed by a rate, by networks, or by an interface; of sockets also by "port 53". */
static int parse_to(struct parser *p, struct policy_rule *r, struct err *e)
{
	const struct policy_word_row *word = policy_word_row(WORD_TO);
	struct policy_at at = p->token.at;
	struct policy_clause *c;

	if (!(word->domains & POLICY_ABOUT(r->domain)))
		return word_refused(p, r, word, e);
	if (advance(p, e) < 0)
		return -e->code;
	if (r->domain == POLICY_SOCKET && at_word(p, policy_word_row(WORD_PORT)->name))
		return parse_clause(p, r, e);
	if (is_rate(&p->token)) {
		if (r->verdict == POLICY_LIMIT)
			return parse_rate(p, r, false, e);
		fail_as(e, EXIT_POLICY, EINVAL, "only `limit packet` has a rate");
		if (r->verdict == POLICY_WATCH || r->verdict == POLICY_ANSWER)
			hint(e, "`%s packet` says it behind 'above'",
			     policy_verdict_name(r->verdict));
		return policy_wrap(p->policy, at, e);
	}
	c = vec_add(&r->clauses);
	c->at = at;
	c->word = policy_word_row(is_target(p, r) ? WORD_TARGET : WORD_TO);
	p->form = c->word->form;
	if (c->word->single)
		return take_value(p, &c->values, policy_form_name(p->form), e);
	return take_values(p, &c->values, policy_form_name(p->form), e);
}

/* "above 1000/s ..." */
static int parse_above(struct parser *p, struct policy_rule *r, struct err *e)
{
	if (r->verdict != POLICY_WATCH && r->verdict != POLICY_ANSWER) {
		fail_as(e, EXIT_POLICY, EINVAL,
			"'above' is said of `watch packet` and `answer packet`");
		if (r->verdict == POLICY_LIMIT)
			hint(e, "`limit packet` says its rate behind 'to'");
		return policy_wrap(p->policy, p->token.at, e);
	}
	return advance(p, e) < 0 ? -e->code : parse_rate(p, r, true, e);
}

/* "with cookies" */
static int parse_with(struct parser *p, struct policy_rule *r, struct err *e)
{
	if (r->verdict != POLICY_ANSWER) {
		fail_as(e, EXIT_POLICY, EINVAL, "'with cookies' is said of `answer packet`");
		return policy_wrap(p->policy, p->token.at, e);
	}
	r->cookies = true;
	return advance(p, e) < 0 ? -e->code : expect_word(p, "cookies", e);
}

/* What is no word with values; any other is. */
static const struct {
	const char *word;
	bool of_operations; /* also of rules about those */
	int (*parse)(struct parser *p, struct policy_rule *r, struct err *e);
} phrases[] = {
	{ "to", true, parse_to },
	{ "above", false, parse_above },
	{ "with", false, parse_with },
};

static int parse_part(struct parser *p, struct policy_rule *r, struct err *e)
{
	bool operation = r->verdict == POLICY_DENY || r->verdict == POLICY_ALERT;

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if ((!operation || phrases[i].of_operations) && at_word(p, phrases[i].word))
			return phrases[i].parse(p, r, e);
	return parse_clause(p, r, e);
}

static int parse_verdict(struct parser *p, struct policy_rule *r, struct err *e)
{
	const struct policy_verdict_row *row;
	const char *subject;

	r->verdict_at = p->token.at;
	if (p->token.type != LEX_WORD)
		return unexpected(p, "what to do, such as deny, alert, drop, allow, limit or watch",
				  e);
	row = policy_verdict_find(p->token.text);
	if (!row)
		return unknown(p, "verdict", policy_verdict_nth, NULL, e);
	r->verdict = row->verdict;
	while (!(row->domains & POLICY_ABOUT(r->domain)))
		r->domain++;
	if (advance(p, e) < 0)
		return -e->code;
	subject = policy_domain_row(r->domain)->subject;
	return subject ? expect_word(p, subject, e) : parse_operations(p, r, e);
}

static bool at_statement(const struct parser *p)
{
	return p->token.type == LEX_END || at_word(p, "rule") || at_word(p, "set");
}

static int parse_rule(struct parser *p, struct err *e)
{
	struct policy_rule *r = vec_add(&p->policy->rules);

	r->at = p->token.at;
	p->form = FORM_NONE;
	if (take_name(p, "rule", &r->name, e) < 0)
		return -e->code;
	if (p->token.type == LEX_STRING) {
		r->note = TAKE_PTR(p->token.text);
		if (advance(p, e) < 0)
			return -e->code;
	}
	if (parse_verdict(p, r, e) < 0)
		return -e->code;
	while (!at_statement(p))
		if (parse_part(p, r, e) < 0)
			return -e->code;
	return 0;
}

static const char *statement_nth(const void *ctx, size_t i)
{
	static const char *const names[] = { "rule", "set", NULL };

	(void)ctx;
	return names[min(i, ARRAY_LEN(names) - 1)];
}

static int parse_statement(struct parser *p, struct err *e)
{
	bool there;

	if (accept_word(p, "set", &there, e) < 0)
		return -e->code;
	if (there)
		return parse_set(p, e);
	if (accept_word(p, "rule", &there, e) < 0)
		return -e->code;
	if (there)
		return parse_rule(p, e);
	if (p->token.type != LEX_WORD)
		return unexpected(p, "'rule' or 'set'", e);
	return unknown(p, "statement", statement_nth, NULL, e);
}

static int parse_all(struct parser *p, struct err *e)
{
	if (advance(p, e) < 0)
		return -e->code;
	while (p->token.type != LEX_END)
		if (parse_statement(p, e) < 0)
			return -e->code;
	return 0;
}

int policy_parse(const char *name, const char *text, struct policy **ret_policy, struct err *e)
{
	auto_ptr(policy) policy = xnew(struct policy);
	struct parser p = { .lexer = { .p = text, .line = text, .at = { .line = 1 } },
			    .policy = policy };
	int err;

	assert(name && text && ret_policy && e);
	policy->name = xstrdup(name);
	p.lexer.policy = policy;
	err = parse_all(&p, e);
	free(p.token.text);
	if (err < 0 || policy_check(policy, e) < 0)
		return -e->code;
	*ret_policy = TAKE_PTR(policy);
	return 0;
}
