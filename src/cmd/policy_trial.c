/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy test`: each recorded operation is put to the policy; what would have been refused is told
 * by rule, object, program and user, with how often; and what of the rules couldn't be judged. */
#include "cmd/policy_trial.h"

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/table.h"
#include "cmd/policy_asked.h"
#include "policy/judge.h"
#include "policy/words.h"
#include "sink/out.h"
#include "transport/recorded.h"

#include <unistd.h>

/* Operations that would have been refused, alike in all that is told of them. */
struct refused {
	const struct policy_rule *rule;
	const char *operation;
	char *object, *exe, *user; /* exe, user: "" where it isn't known */
	uint64_t count;
	bool perhaps; /* it hangs on what was not recorded */
};

/* What a rule hangs on that was not recorded, each once. */
typedef vec(const char *) lacks_list;

struct trial {
	const struct policy *policy;
	struct accounts *accounts;
	struct asker *asker;
	struct map index; /* to places in `refused`, from 1 */
	vec(struct refused) refused;
	lacks_list *lacks;             /* by rule */
	unsigned told[POLICY_DOMAINS]; /* operations that the recording tells of */
	uint64_t judged, would, perhaps;
	struct err *e;
};

/* ---- judging ---- */

static struct refused *refused_entry(struct trial *t, const struct policy_rule *rule,
				     const struct policy_question *q, const char *object)
{
	auto_done(strbuf) key = { 0 };
	unsigned bits = rule->operations & (q->operations | q->maybe);
	const char *operation = policy_operation_name(rule->domain, bits & -bits);
	struct refused *entry;
	uintptr_t place;

	strbuf_appendf(&key, "%s\n%s\n%s\n%s\n%s", rule->name, operation, object, q->exe ?: "",
		       q->user ?: "");
	place = (uintptr_t)map_get_bytes(&t->index, key.s, key.len);
	if (place)
		return &t->refused.at[place - 1];
	entry = vec_add(&t->refused);
	*entry = (struct refused){ .rule = rule,
				   .operation = bits ? operation
						     : policy_domain_row(rule->domain)->subject,
				   .object = xstrdup(object),
				   .exe = xstrdup(q->exe ?: ""),
				   .user = xstrdup(q->user ?: "") };
	map_put_bytes(&t->index, key.s, key.len, (void *)(uintptr_t)t->refused.len);
	return entry;
}

static void lacks_note(struct trial *t, const struct policy_rule *rule, const char *what)
{
	lacks_list *list = &t->lacks[rule - t->policy->rules.at];

	vec_for_each(known, list)
		if (str_eq(*known, what))
			return;
	vec_push(list, what);
}

/* The operation as a whole: the worst that any rule says of it. */
static void answer_note(struct trial *t, const struct policy_rule *rule,
			const struct policy_question *q, const char *object,
			const struct policy_judged *judged, enum policy_answer *worst)
{
	struct refused *entry = refused_entry(t, rule, q, object);

	entry->count++;
	if (judged->answer == ANSWER_UNKNOWN) {
		entry->perhaps = true;
		lacks_note(t, rule, judged->lacks);
	}
	*worst = *worst == ANSWER_YES ? *worst : judged->answer;
}

/* Any rule that denies it. */
static int judge_operation(struct trial *t, const struct policy_question *q, const char *object,
			   enum policy_answer *worst)
{
	vec_for_each(rule, &t->policy->rules) {
		struct policy_judged judged;

		if (rule->verdict != POLICY_DENY)
			continue;
		if (policy_judge(t->policy, rule, q, &judged, t->e) < 0)
			return -t->e->code;
		if (judged.answer != ANSWER_NO)
			answer_note(t, rule, q, object, &judged, worst);
	}
	return 0;
}

struct packet_trial {
	struct trial *trial;
	const struct policy_question *question;
	const struct asked_operation *asked;
	enum policy_answer *worst;
};

static void on_packet_rule(const struct policy_rule *rule, const struct policy_judged *judged,
			   void *ctx)
{
	struct packet_trial *p = ctx;

	if (rule->verdict == POLICY_DROP)
		answer_note(p->trial, rule, p->question, p->asked->object, judged, p->worst);
}

static int judge_packet_rules(struct trial *t, const struct policy_question *q,
			      const struct asked_operation *asked, enum policy_answer *worst)
{
	struct packet_trial p = { t, q, asked, worst };

	return policy_judge_packet(t->policy, q,
				   asked->maybe_spared ? "whether it is spared" : NULL,
				   on_packet_rule, &p, t->e);
}

static int judge(struct trial *t, const struct asked_operation *asked)
{
	enum policy_answer worst = ANSWER_NO;

	for (unsigned i = 0; i < asked->count; i++) {
		const struct policy_question *q = &asked->questions[i];
		int err = policy_domain_row(q->domain)->subject
				  ? judge_packet_rules(t, q, asked, &worst)
				  : judge_operation(t, q, asked->object, &worst);

		if (err < 0)
			return err;
	}
	t->judged++;
	t->would += worst == ANSWER_YES;
	t->perhaps += worst == ANSWER_UNKNOWN;
	return 0;
}

static void told_note(struct trial *t, const char *probe)
{
	for (unsigned domain = 0; domain < POLICY_DOMAINS; domain++)
		t->told[domain] |= asked_of(probe, domain);
}

static int on_row(const struct row *r, void *ctx)
{
	struct trial *t = ctx;
	struct asked_operation asked[ASKED_MAX];
	unsigned count = asker_row(t->asker, r, asked);

	told_note(t, r->schema->probe);
	for (unsigned i = 0; i < count; i++)
		if (judge(t, &asked[i]) < 0)
			return -t->e->code;
	return 0;
}

static int read_all(struct trial *t, const char *path, struct err *e)
{
	const struct schema *const *schemas;
	struct stream *stream = NULL;
	size_t count;
	int n = 1;

	if (recorded_open(path, &stream, e) < 0)
		return -e->code;
	schemas = stream->ops->schemas(stream, &count);
	for (size_t i = 0; i < count; i++)
		told_note(t, schemas[i]->probe);
	while (n > 0)
		n = stream->ops->drain(stream, 1024, on_row, t, e);
	stream_free(stream);
	return n < 0 ? n : 0;
}

/* ---- telling ---- */

static int by_count(const void *a, const void *b)
{
	const struct refused *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->object, y->object);
}

static void tell_text(const struct trial *t, struct strbuf *out)
{
	static const struct table_col cols[] = {
		{ "TIMES", .align = TABLE_RIGHT, .min_cols = 6 },
		{ "RULE", .min_cols = 12 },
		{ "", .min_cols = 7 },
		{ "USER", .min_cols = 8 },
		{ "EXE", .min_cols = 20 },
		{ "OPERATION", .min_cols = 9 },
		{ "OBJECT" },
	};
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO) };
	auto_ptr(table) table = table_new(cols, ARRAY_LEN(cols), style, out);

	vec_for_each(r, &t->refused) {
		table_cellf(table, TERM_PLAIN, "%llu", (unsigned long long)r->count);
		table_str(table, r->rule->name);
		table_str(table, r->perhaps ? "perhaps" : "");
		table_str(table, *r->user ? r->user : "-");
		table_str(table, *r->exe ? r->exe : "-");
		table_str(table, r->operation);
		table_str(table, r->object);
		table_row_end(table);
	}
	if (t->refused.len)
		table_settle(table);
}

static void json_text(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (*text)
		json_str(j, text);
	else
		json_null(j);
}

static void tell_json(const struct trial *t, struct strbuf *out)
{
	vec_for_each(r, &t->refused) {
		struct json j = { .out = out };

		json_obj_begin(&j);
		json_text(&j, "rule", r->rule->name);
		json_key(&j, "times");
		json_u64(&j, r->count);
		json_key(&j, "perhaps");
		json_bool(&j, r->perhaps);
		json_text(&j, "user", r->user);
		json_text(&j, "exe", r->exe);
		json_text(&j, "operation", r->operation);
		json_text(&j, "object", r->object);
		json_obj_end(&j);
		json_line_end(&j);
	}
}

/* ---- what was not judged ---- */

/* "net.tcp, guard.socket": probes that tell of one of the operations. */
static void tellers(enum policy_domain domain, unsigned operations, struct strbuf *out)
{
	const char *probe;

	for (unsigned i = 0; (probe = asked_probe(i)); i++)
		if (asked_of(probe, domain) & operations)
			strbuf_appendf(out, "%s%s", out->len ? ", " : "", probe);
}

/* Why the rule, or a part of it, wasn't judged; empty: it was. What refuses nothing needs no judging. */
static void untold_tell(const struct trial *t, const struct policy_rule *r, struct strbuf *out)
{
	const char *subject = policy_domain_row(r->domain)->subject;
	unsigned untold = (subject ? 1 : r->operations) & ~t->told[r->domain];
	auto_done(strbuf) names = { 0 }, probes = { 0 };

	if (r->verdict == POLICY_LIMIT || r->verdict == POLICY_ANSWER ||
	    (r->verdict == POLICY_WATCH && r->limit.drop_ns)) {
		strbuf_puts(out, "how much comes in a time isn't recorded");
		return;
	}
	if ((r->verdict != POLICY_DENY && r->verdict != POLICY_DROP) || !untold)
		return;
	tellers(r->domain, untold, &probes);
	if (!subject)
		policy_operations_name(r->domain, untold, &names);
	strbuf_appendf(out, "nothing in the recording tells of %s (%s would)",
		       subject ? "packets" : strbuf_str(&names), strbuf_str(&probes));
}

/* "where `terminal`, `exe` isn't known" */
static void lacks_tell(const lacks_list *list, struct strbuf *out)
{
	vec_for_each(what, list)
		strbuf_appendf(out, "%s%s",
			       what == list->at ? "perhaps, where it hangs on what isn't recorded: "
						: ", ",
			       *what);
}

static void unjudged_json(const struct policy_rule *r, const char *why, struct strbuf *out)
{
	struct json j = { .out = out };

	json_obj_begin(&j);
	json_text(&j, "rule", r->name);
	json_text(&j, "not_judged", why);
	json_obj_end(&j);
	json_line_end(&j);
}

static void unjudged_tell(const struct trial *t, bool as_json, struct strbuf *out)
{
	vec_for_each(r, &t->policy->rules) {
		const lacks_list *lacks = &t->lacks[r - t->policy->rules.at];
		auto_done(strbuf) why = { 0 };

		untold_tell(t, r, &why);
		if (lacks->len && why.len)
			strbuf_puts(&why, "; ");
		lacks_tell(lacks, &why);
		if (!why.len)
			continue;
		if (as_json)
			unjudged_json(r, strbuf_str(&why), out);
		else
			log_note(NULL, "rule %s (line %u): %s", r->name, r->at.line,
				 strbuf_str(&why));
	}
}

static void trial_done(struct trial *t)
{
	for (size_t i = 0; i < t->policy->rules.len; i++)
		vec_done(&t->lacks[i]);
	free(t->lacks);
	vec_for_each(r, &t->refused) {
		free(r->object);
		free(r->exe);
		free(r->user);
	}
	vec_done(&t->refused);
	map_done(&t->index, NULL);
	asker_free(t->asker);
	accounts_free(t->accounts);
}

int policy_trial_print(const struct policy *p, const char *path, const char *format, struct err *e)
{
	struct accounts *accounts = accounts_new(ACCOUNTS_PATH);
	struct trial t = { .policy = p,
			   .accounts = accounts,
			   .asker = asker_new(accounts),
			   .lacks = xcalloc(p->rules.len + 1, sizeof(lacks_list)),
			   .e = e };
	bool as_json = format && str_eq(format, "json");
	auto_done(strbuf) out = { 0 };
	int err = read_all(&t, path, e);

	vec_sort(&t.refused, by_count);
	if (!err) {
		(as_json ? tell_json : tell_text)(&t, &out);
		if (as_json)
			unjudged_tell(&t, true, &out);
		err = out_write(&out, STDOUT_FILENO, -1, e);
	}
	if (!err) {
		if (!as_json)
			unjudged_tell(&t, false, &out);
		log_note(NULL, "%llu operations judged: %llu would have been refused, %llu perhaps",
			 (unsigned long long)t.judged, (unsigned long long)t.would,
			 (unsigned long long)t.perhaps);
	}
	trial_done(&t);
	return err;
}
