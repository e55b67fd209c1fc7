/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree of a policy: reading its file, looking into it, its sets' values, its end. */
#include "policy/policy.h"

#include "abi/policy.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>

int policy_wrap(const struct policy *p, struct policy_at at, struct err *e)
{
	if (!at.column) /* in a list: whoever reads it says where */
		return -e->code;
	return wrap(e, "%s: line %u, column %u", p->name, at.line, at.column);
}

/* What nobody may ever write to would be waited for. What the shell makes of `<(...)` is somebody's pipe. */
static int refuse_fifo(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISFIFO(st.st_mode) || str_startswith(path, "/dev/") ||
	    str_startswith(path, "/proc/"))
		return 0;
	return fail_as(e, EXIT_POLICY, EINVAL, "'%s' is a pipe, not a file", path);
}

int policy_read(const char *path, struct policy **ret_policy, char **ret_text, struct err *e)
{
	auto_free char *text = NULL;
	size_t len;

	if (refuse_fifo(path, e) < 0 || file_read(path, &text, &len, e) < 0)
		return -e->code;
	if (len >= POLICY_TEXT_MAX)
		return hint(
			(fail_as(e, EXIT_POLICY, EFBIG, "%s: %zu bytes; a policy has at most %u",
				 path, len, POLICY_TEXT_MAX - 1),
			 e),
			"long lists belong into files of their own: `set name = lines of PATH`");
	if (strlen(text) != len)
		return fail_as(e, EXIT_POLICY, EINVAL, "%s: a NUL at byte %zu: this is no text",
			       path, strlen(text));
	if (policy_parse(path, text, ret_policy, e) < 0)
		return -e->code;
	if (ret_text)
		*ret_text = TAKE_PTR(text);
	return 0;
}

static void values_done(policy_values *values)
{
	vec_for_each(v, values)
		free(v->text);
	vec_done(values);
}

static void rule_done(struct policy_rule *r)
{
	free(r->name);
	free(r->note);
	values_done(&r->objects);
	vec_for_each(c, &r->clauses)
		values_done(&c->values);
	vec_done(&r->clauses);
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	vec_for_each(set, &p->sets) {
		free(set->name);
		free(set->list);
		values_done(&set->values);
	}
	vec_for_each(r, &p->rules)
		rule_done(r);
	vec_for_each(c, &p->comments)
		free(c->text);
	vec_done(&p->sets);
	vec_done(&p->rules);
	vec_done(&p->comments);
	free(p->name);
	free(p);
}

const struct policy_clause *policy_clause_find(const struct policy_rule *r, enum policy_word word,
					       unsigned nth)
{
	vec_for_each(c, &r->clauses)
		if (c->word->word == word && nth-- == 0)
			return c;
	return NULL;
}

const struct policy_set *policy_set_find(const struct policy *p, const char *name)
{
	vec_for_each(set, &p->sets)
		if (str_eq(set->name, name))
			return set;
	return NULL;
}

bool policy_rule_audits(const struct policy_rule *r)
{
	const struct policy_clause *mode = policy_clause_find(r, WORD_MODE, 0);

	return mode && str_eq(mode->values.at[0].text, "audit");
}

int policy_rule_priority(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_PRIORITY, 0);
	struct err ignored = { 0 };
	int priority = POLICY_PRIORITY;

	if (c)
		(void)!policy_priority_parse(c->values.at[0].text, &priority, &ignored);
	return priority;
}

unsigned policy_rule_accepts(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_ACCEPT, 0);
	unsigned accepts = 0;

	if (c)
		vec_for_each(v, &c->values)
			accepts |= str_eq(v->text, "kill") ? ACCEPT_KILL : ACCEPT_DETECT;
	return accepts;
}

/* ---- values, sets resolved ---- */

struct each {
	policy_value_fn *fn;
	void *ctx;
};

/* One line of a list, cut at its comment. */
static int each_line(const struct each *each, char *line, unsigned number, struct err *e)
{
	char *end = line + strcspn(line, "#");

	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	while (isspace((unsigned char)*line))
		line++;
	return *line ? each->fn(line, (struct policy_at){ .line = number }, each->ctx, e) : 0;
}

static int each_of_list(const char *path, const struct each *each, struct err *e)
{
	auto_free char *text = NULL;
	unsigned number = 0;
	size_t len;
	int err;

	if (refuse_fifo(path, e) < 0 || file_read(path, &text, &len, e) < 0) {
		e->exit_class = EXIT_POLICY;
		return -e->code;
	}
	if (strlen(text) !=
	    len) /* as a loss of power leaves files: what is behind it would be missing */
		return fail_as(e, EXIT_POLICY, EINVAL, "%s: a NUL at byte %zu: this is no text",
			       path, strlen(text));
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		err = each_line(each, line, ++number, e);
		if (err < 0)
			return wrap(e, "%s: line %u", path, number);
		if (err)
			return err;
	}
	return 0;
}

int policy_each(const struct policy *p, const policy_values *values, policy_value_fn *fn, void *ctx,
		struct err *e)
{
	struct each each = { .fn = fn, .ctx = ctx };
	int err = 0;

	vec_for_each(v, values) {
		const struct policy_set *set = v->is_set ? policy_set_find(p, v->text) : NULL;

		if (!set)
			err = fn(v->text, v->at, ctx, e);
		else if (set->list) {
			err = each_of_list(set->list, &each, e);
			if (err < 0)
				return policy_wrap(p, set->at, e);
		} else
			err = policy_each(p, &set->values, fn, ctx, e);
		if (err)
			return err;
	}
	return 0;
}
