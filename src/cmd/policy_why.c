/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy why`: operations, files and processes are judged by the policy's text, and files by what they are. */
#include "cmd/policy_why.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "cmd/policy_who.h"
#include "enforce/enforce.h"
#include "policy/lookup.h"
#include "policy/words.h"
#include "sink/out.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

unsigned why_sides(const struct enforce *f, struct why_side ret[static 2])
{
	const struct enforce_state *s = enforce_state(f);
	unsigned count = 0;

	if (s->in_force)
		ret[count++] = (struct why_side){ s->policy, enforce_rule, "", false };
	if (s->beside)
		ret[count++] =
			(struct why_side){ s->beside, enforce_rule_beside, "beside: ", true };
	return count;
}

/* What a rule that is about it does; beside the policy in force, what it would do there. */
static const char *effect(const struct policy_rule *r, const struct enforce_rule *now, bool beside)
{
	if (now->expired)
		return "has expired";
	if (r->verdict == POLICY_ALERT)
		return beside ? "would tell it" : "tells it";
	if (now->tripped)
		return "would deny it, but has refused too much and only counts";
	if (now->mode == POLICY_AUDIT)
		return "would deny it, but only counts (mode audit)";
	if (str_startswith(now->strength, "kill"))
		return beside ? "would kill who does it, when it is done"
			      : "kills who does it, when it is done";
	if (str_startswith(now->strength, "detect"))
		return beside ? "would tell it, when it is done" : "tells it, when it is done";
	return beside ? "would deny it" : "denies it";
}

/* "(read, write)" where several were asked about; of a process what the rule says. */
static void about_tell(const struct why *w, const struct policy *p, const struct policy_rule *r,
		       const struct policy_question *q)
{
	unsigned asked = r->operations & q->operations;
	auto_done(strbuf) text = { 0 };

	if (q->any_object) {
		const char *line, *words;

		policy_print_rule(p, r, &text);
		line = strchr(strbuf_str(&text), '\n') ?: "";
		words = strchr(line + strspn(line, "\n "), ' ') ?: "";
		strbuf_appendf(w->out, ":%.*s", (int)strcspn(words, "\n"), words);
	} else if (q->operations & (q->operations - 1)) {
		policy_operations_name(r->domain, asked, &text);
		strbuf_appendf(w->out, ": %s", strbuf_str(&text));
	}
}

static void rule_tell(const struct why *w, const struct why_side *side, size_t nth,
		      const struct policy_question *q, const struct policy_judged *judged)
{
	const struct policy_rule *r = &side->policy->rules.at[nth];
	struct enforce_rule now;

	side->rule(w->enforce, nth, &now);
	strbuf_appendf(w->out, "%srule %s (line %u) %s", side->mark, r->name, r->at.line,
		       effect(r, &now, side->beside));
	about_tell(w, side->policy, r, q);
	if (judged->answer == ANSWER_UNKNOWN && w->who->pid)
		strbuf_appendf(w->out, ", if '%s' fits", judged->lacks);
	else if (judged->answer == ANSWER_UNKNOWN)
		strbuf_puts(
			w->out,
			", if its condition holds (say --pid, or --exe, --ancestor, --user, --cgroup)");
	strbuf_appendf(w->out, "%s%s\n", r->note ? ": " : "", r->note ?: "");
}

static int why_side(const struct why *w, const struct why_side *side,
		    const struct policy_question *q, unsigned *rules, struct err *e)
{
	const struct policy *p = side->policy;

	for (size_t i = 0; i < p->rules.len; i++) {
		struct policy_judged judged;

		if (policy_judge(p, &p->rules.at[i], q, &judged, e) < 0)
			return -e->code;
		if (judged.answer == ANSWER_NO)
			continue;
		rule_tell(w, side, i, q, &judged);
		++*rules;
	}
	return 0;
}

/* Each policy's rules about any of the questions. */
static int why_tell(const struct why *w, const struct policy_question *questions, size_t count,
		    struct err *e)
{
	struct why_side sides[2];
	unsigned side_count = why_sides(w->enforce, sides);

	for (unsigned s = 0; s < side_count; s++) {
		unsigned rules = 0;

		for (size_t i = 0; i < count; i++) {
			struct policy_question q = questions[i];
			struct rule_set held;

			if (w->identifies && q.domain == POLICY_FILE && q.of[OBJECT_FILE]) {
				if (enforce_file_rules(w->enforce, q.of[OBJECT_FILE],
						       sides[s].beside, &held, e) < 0)
					return -e->code;
				q.held = &held;
			}
			if (why_side(w, &sides[s], &q, &rules, e) < 0)
				return -e->code;
		}
		if (!rules)
			strbuf_appendf(w->out, "%sno rule is about it: it %s let through\n",
				       sides[s].mark, sides[s].beside ? "would be" : "is");
	}
	return 0;
}

int why_operation(const struct why *w, const struct policy_question *q, struct err *e)
{
	return why_tell(w, q, 1, e);
}

/* ---- one operation ---- */

/* "connect tcp 10.0.0.1:22", "raw-socket" */
static int asked_socket(struct policy_question *q, char **words, size_t count,
			char path[static PATH_MAX], struct err *e)
{
	static const uint8_t none[16];
	struct ip ip;

	(void)path;
	if (!(q->operations & POLICY_ADDRESSED))
		return count == 1 ? 0
				  : fail_as(e, EXIT_USAGE, EINVAL, "why %s: '%s' is too much",
					    words[0], words[1]);
	if (count != 3)
		return fail_as(e, EXIT_USAGE, EINVAL, "why %s: expected a protocol and an address",
			       words[0]);
	if (why_protocol_parse(words[1], &q->protocol, e) < 0 ||
	    why_address_parse(words[2], &ip, &q->port, e) < 0)
		return -e->code;
	memcpy(q->to.bytes, ip.bytes, sizeof(q->to.bytes));
	q->to.bits = ip.family == AF_INET ? 32 : 128;
	if (memcmp(ip.bytes, none, sizeof(none)))
		q->to.family = (uint8_t)ip.family;
	return 0;
}

static int asked_file(struct policy_question *q, char **words, size_t count,
		      char path[static PATH_MAX], struct err *e)
{
	if (count != 2 || *words[1] != '/')
		return fail_as(e, EXIT_USAGE, EINVAL, "why %s: expected an absolute path",
			       words[0]);
	q->of[OBJECT_FILE] = realpath(words[1], path) ?: words[1];
	return 0;
}

/* "kill /usr/sbin/sshd", "setuid root", "mount": what the operation is first said of. */
static int asked_kernel(struct policy_question *q, char **words, size_t count,
			char path[static PATH_MAX], struct err *e)
{
	size_t rows;
	const struct policy_object_row *row = policy_objects(&rows), *end = row + rows;

	while (row < end &&
	       !(row->domains & POLICY_ABOUT(q->domain) && row->operations & q->operations))
		row++;
	if (row == end)
		return count == 1 ? 0
				  : fail_as(e, EXIT_USAGE, EINVAL,
					    "why %s: expected nothing behind it", words[0]);
	if (count != 2)
		return fail_as(e, EXIT_USAGE, EINVAL, "why %s: expected %s", words[0],
			       policy_form_name(row->form));
	if (policy_form_check(row->form, words[1], e) < 0) {
		e->exit_class = EXIT_USAGE;
		return -e->code;
	}
	q->of[row->object] =
		row->form == FORM_PATH ? realpath(words[1], path) ?: words[1] : words[1];
	return 0;
}

static struct policy_question question(const struct why *w, enum policy_domain domain,
				       unsigned operations)
{
	struct policy_question q = { .domain = domain,
				     .operations = operations,
				     .accounts = w->accounts,
				     .files = w->files };

	policy_who_ask(w->who, &q);
	return q;
}

static int why_one(const struct why *w, char **words, size_t count, struct err *e)
{
	static int (*const askers[])(struct policy_question *, char **, size_t, char *,
				     struct err *) = { [POLICY_FILE] = asked_file,
						       [POLICY_KERNEL] = asked_kernel,
						       [POLICY_SOCKET] = asked_socket };
	const struct policy_operation_row *operation = policy_operation_find(words[0]);
	struct policy_question q;
	char path[PATH_MAX];

	if (!operation)
		return name_unknown("operation", words[0], policy_operation_nth, NULL, e);
	q = question(w, operation->domain, operation->bits);
	if (askers[q.domain](&q, words, count, path, e) < 0)
		return -e->code;
	return why_tell(w, &q, 1, e);
}

/* ---- whatever is done to a file, or by and to a process ---- */

#define PROCESS (POLICY_KILL | POLICY_PTRACE | POLICY_INSPECT)

/* As a file, and where it is a program, as that which processes run. */
static int why_path(const struct why *w, const char *path, struct err *e)
{
	struct policy_question questions[] = { question(w, POLICY_FILE, ~0u),
					       question(w, POLICY_KERNEL, PROCESS) };
	char real[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(questions); i++)
		questions[i].of[i ? OBJECT_EXE : OBJECT_FILE] = realpath(path, real) ?: path;
	return why_tell(w, questions, access(path, X_OK) == 0 ? 2 : 1, e);
}

static int why_process(const struct why *w, struct err *e)
{
	const struct policy_who nobody = { 0 };
	struct why others = *w;
	struct policy_question by[] = { question(w, POLICY_FILE, ~0u),
					question(w, POLICY_KERNEL, ~0u),
					question(w, POLICY_SOCKET, ~0u) };
	struct policy_question to;

	policy_who_tell(w->who, w->out);
	for (size_t i = 0; i < ARRAY_LEN(by); i++)
		by[i].any_object = true;
	strbuf_puts(w->out, "what it does:\n");
	if (why_tell(w, by, ARRAY_LEN(by), e) < 0)
		return -e->code;
	others.who = &nobody;
	to = question(&others, POLICY_KERNEL, PROCESS);
	to.of[OBJECT_EXE] = w->who->own_exe;
	to.of[OBJECT_USER] = w->who->own_user;
	to.of[OBJECT_CGROUP] = w->who->own_cgroup;
	strbuf_puts(w->out, "what others do to it:\n");
	return why_tell(&others, &to, 1, e);
}

/* What the words are: one is a path, a number, "-", or they begin with an operation. */
static int why_words(const struct why *w, char **words, size_t count, struct err *e)
{
	bool alone = count == 1;

	if (alone && str_eq(words[0], "-"))
		return why_events(w, e);
	if (alone && *words[0] == '/')
		return why_path(w, words[0], e);
	if (alone && strspn(words[0], "0123456789") == strlen(words[0]))
		return why_process(w, e);
	return why_one(w, words, count, e);
}

int policy_why(struct enforce *f, char **words, size_t count, struct policy_who *who, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(ACCOUNTS_PATH);
	auto_ptr(lookup) files = lookup_new();
	auto_done(strbuf) out = { 0 };
	const struct why w = { f, who, accounts, files, &out, !str_eq(words[0], "-") };
	uint64_t pid;

	if (count == 1 && number_parse(words[0], &pid, e) == 0 && pid <= INT_MAX)
		who->pid = (uint32_t)pid;
	if (policy_who_fill(who, e) < 0 || why_words(&w, words, count, e) < 0)
		return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}
