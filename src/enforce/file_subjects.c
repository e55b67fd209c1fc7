/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditions: who is mentioned, and which rules' conditions each of them fulfils. */
#include "enforce/file_subjects.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"
#include "bpf/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>

static const enum policy_word words[SUBJECT_KINDS] = {
	[SUBJECT_EXE] = WORD_EXE,
	[SUBJECT_USER] = WORD_USER,
	[SUBJECT_CGROUP] = WORD_CGROUP,
};

void subjects_done(struct subjects *s)
{
	for (int kind = 0; kind < SUBJECT_KINDS; kind++) {
		vec_for_each(one, &s->of[kind])
			free(one->cgroup);
		vec_done(&s->of[kind]);
	}
}

/* ---- what a value means ---- */

/* The path of the unit's cgroup from the root of the hierarchy. */
static int unit_find(int root, const char *unit, char **ret_path, struct err *e)
{
	auto_free char *top = xasprintf("/proc/self/fd/%d/", root);
	char *const tops[] = { top, NULL };
	FTS *tree = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	FTSENT *at;

	while (tree && (at = fts_read(tree)))
		if (at->fts_info == FTS_D && str_eq(at->fts_name, unit)) {
			*ret_path = xasprintf("/%s", at->fts_path + strlen(top));
			break;
		}
	if (tree)
		fts_close(tree);
	return *ret_path ? 0 : fail(e, ENOENT, "there is no cgroup of a unit '%s'", unit);
}

static int cgroup_read(const char *text, struct subject *s, struct err *e)
{
	struct stat st;
	int root;

	if (cgroup_root_fd(&root, e) < 0)
		return -e->code;
	if (*text == '/')
		s->cgroup = xstrdup(text);
	else if (unit_find(root, text, &s->cgroup, e) < 0)
		return -e->code;
	if (fstatat(root, str_eq(s->cgroup, "/") ? "." : s->cgroup + 1, &st, 0) < 0)
		return fail(e, errno, "cgroup '%s': %s", text, strerror(errno));
	s->value = st.st_ino;
	return 0;
}

static int user_read(const char *text, struct subject *s, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(NULL, NULL);
	uint32_t uid;

	if (!user_id(accounts, text, &uid))
		return fail(e, ENOENT, "there is no user '%s'", text);
	s->value = uid;
	return 0;
}

struct reading {
	struct subjects *subjects;
	struct file_paths *paths;
	const struct policy *policy;
	enum subject_kind kind;
	vec(size_t) clause; /* those that the clause at hand mentions */
};

static int value_read(const struct reading *r, const char *text, struct subject *s, struct err *e)
{
	size_t index;

	if (r->kind == SUBJECT_USER)
		return user_read(text, s, e);
	if (r->kind == SUBJECT_CGROUP)
		return cgroup_read(text, s, e);
	if (file_paths_add(r->paths, text, &index, e) < 0)
		return -e->code;
	s->value = index;
	return 0;
}

static int on_value(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct subject s = { 0 };
	size_t i = 0;

	if (value_read(r, text, &s, e) < 0) {
		free(s.cgroup);
		e->exit_class = EXIT_POLICY;
		return policy_wrap(r->policy, at, e);
	}
	while (i < r->subjects->of[r->kind].len && r->subjects->of[r->kind].at[i].value != s.value)
		i++;
	if (i == r->subjects->of[r->kind].len)
		vec_push(&r->subjects->of[r->kind], s);
	else
		free(s.cgroup);
	vec_push(&r->clause, i);
	return 0;
}

/* ---- who fulfils what ---- */

static void rule_unset(struct rule_set *set, size_t rule)
{
	set->words[rule / 64] &= ~(1ull << rule % 64);
}

/* Is the subject one of the clause's, or a cgroup below one? */
static bool is_meant(const struct reading *r, size_t nth)
{
	const struct subject *all = r->subjects->of[r->kind].at;

	vec_for_each(i, &r->clause) {
		const char *above = all[*i].cgroup, *rest;

		if (*i == nth)
			return true;
		if (!above)
			continue;
		rest = str_eq(above, "/") ? "/" : str_after(all[nth].cgroup, above);
		if (rest && *rest == '/')
			return true;
	}
	return false;
}

static int clause_apply(struct reading *r, size_t rule, const struct policy_clause *clause,
			struct err *e)
{
	struct subjects *s = r->subjects;

	vec_clear(&r->clause);
	if (policy_each(r->policy, &clause->values, on_value, r, e) < 0)
		return -e->code;
	for (size_t i = 0; i < s->of[r->kind].len; i++)
		if (is_meant(r, i) == clause->unless)
			rule_unset(&s->of[r->kind].at[i].fulfils, rule);
	if (!clause->unless)
		rule_unset(&s->others[r->kind], rule);
	s->asks |= 1u << r->kind;
	return 0;
}

/* Calls clause_apply() for all clauses of the kind. */
static int clauses_apply(struct reading *r, struct err *e)
{
	for (size_t n = 0; n < r->policy->rules.len; n++) {
		const struct policy_rule *rule = &r->policy->rules.at[n];

		if (rule->domain != POLICY_FILE)
			continue;
		vec_for_each(c, &rule->clauses)
			if (c->word->word == words[r->kind] && clause_apply(r, n, c, e) < 0)
				return -e->code;
	}
	return 0;
}

/* Twice: in the second round all that are mentioned anywhere are known. */
int subjects_read(struct subjects *s, const struct policy *p, struct file_paths *paths,
		  struct err *e)
{
	struct reading r = { .subjects = s, .paths = paths, .policy = p };
	int err = 0;

	for (int kind = 0; !err && kind < SUBJECT_KINDS; kind++) {
		r.kind = (enum subject_kind)kind;
		memset(&s->others[kind], 0xff, sizeof(s->others[kind]));
		err = clauses_apply(&r, e);
		vec_for_each(one, &s->of[kind])
			memset(&one->fulfils, 0xff, sizeof(one->fulfils));
		if (!err)
			err = clauses_apply(&r, e);
	}
	vec_done(&r.clause);
	return err;
}
