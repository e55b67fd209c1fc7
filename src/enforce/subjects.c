/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditions: who is mentioned, and which rules' conditions each of them fulfils; into a guard's maps. */
#include "enforce/subjects.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/mounts.h"
#include "bpf/object.h"
#include "enforce/ancestry.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>

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
	struct strlist names = { 0 };
	FTSENT *at;

	while (tree && (at = fts_read(tree))) {
		if (at->fts_info == FTS_D && str_eq(at->fts_name, unit)) {
			*ret_path = xasprintf("/%s", at->fts_path + strlen(top));
			break;
		}
		if (at->fts_info == FTS_D)
			strlist_add(&names, at->fts_name);
	}
	if (tree)
		fts_close(tree);
	if (!*ret_path)
		(void)name_missing("cgroup of a unit", unit, &names, e);
	strlist_done(&names);
	return *ret_path ? 0 : -e->code;
}

static int user_missing(struct accounts *accounts, const char *user, struct err *e)
{
	struct strlist names = { 0 };

	user_names(accounts, &names);
	(void)name_missing("user", user, &names, e);
	strlist_done(&names);
	return -e->code;
}

int subject_cgroup(const char *text, char **ret_path, uint64_t *ret_id, struct err *e)
{
	auto_free char *path = NULL;
	struct stat st;
	int root;

	if (cgroup_root_fd(&root, e) < 0)
		return -e->code;
	if (*text == '/')
		path = xstrdup(text);
	else if (unit_find(root, text, &path, e) < 0)
		return -e->code;
	if (fstatat(root, str_eq(path, "/") ? "." : path + 1, &st, 0) < 0)
		return fail(e, errno, "cgroup '%s': %s", text, strerror(errno));
	*ret_path = TAKE_PTR(path);
	*ret_id = st.st_ino;
	return 0;
}

struct reading {
	struct subjects *subjects;
	struct file_paths *paths;
	const struct policy *policy;
	enum policy_domain domain;
	enum subject_kind kind;
	vec(size_t) clause; /* those that the clause at hand mentions */
};

static int read_exe(const struct reading *r, const char *text, struct subject *s, struct err *e)
{
	size_t index;

	if (file_paths_add(r->paths, text, &index, e) < 0)
		return -e->code;
	s->value = index;
	return 0;
}

static int read_cgroup(const struct reading *r, const char *text, struct subject *s, struct err *e)
{
	(void)r;
	return subject_cgroup(text, &s->cgroup, &s->value, e);
}

static int read_user(const struct reading *r, const char *text, struct subject *s, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(ACCOUNTS_PATH);
	uint32_t uid;

	(void)r;
	if (!user_id(accounts, text, &uid))
		return user_missing(accounts, text, e);
	s->value = uid;
	return 0;
}

static int read_capability(const struct reading *r, const char *text, struct subject *s,
			   struct err *e)
{
	uint32_t number;

	(void)r;
	if (policy_capability_parse(text, &number, e) < 0)
		return -e->code;
	s->value = number;
	return 0;
}

static int read_terminal(const struct reading *r, const char *text, struct subject *s,
			 struct err *e)
{
	(void)r, (void)text, (void)e;
	s->value = 1;
	return 0;
}

/* Where each kind is said: by a word of a clause, or as what the operations are of. */
static const struct {
	enum policy_object object; /* OBJECT_NONE: by the word */
	enum policy_word word;
	int (*read)(const struct reading *r, const char *text, struct subject *s, struct err *e);
} kinds[SUBJECT_KINDS] = {
	[SUBJECT_EXE] = { OBJECT_NONE, WORD_EXE, read_exe },
	[SUBJECT_USER] = { OBJECT_NONE, WORD_USER, read_user },
	[SUBJECT_CGROUP] = { OBJECT_NONE, WORD_CGROUP, read_cgroup },
	[SUBJECT_ANCESTOR] = { OBJECT_NONE, WORD_ANCESTOR, read_exe },
	[SUBJECT_TERMINAL] = { OBJECT_NONE, WORD_TERMINAL, read_terminal },
	[TARGET_EXE] = { .object = OBJECT_EXE, .read = read_exe },
	[TARGET_USER] = { .object = OBJECT_USER, .read = read_user },
	[TARGET_CGROUP] = { .object = OBJECT_CGROUP, .read = read_cgroup },
	[TARGET_TO] = { .object = OBJECT_TO, .read = read_user },
	[TARGET_CAPABILITY] = { .object = OBJECT_CAPABILITY, .read = read_capability },
};

static int on_value(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	struct subject s = { 0 };
	size_t i = 0;

	if (kinds[r->kind].read(r, text, &s, e) < 0) {
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

void rule_put(struct rule_set *set, size_t rule)
{
	set->words[rule / 64] |= 1ull << rule % 64;
}

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

/* Without values the word says it all. */
static int clause_apply(struct reading *r, size_t rule, const policy_values *values, bool unless,
			struct policy_at at, struct err *e)
{
	struct subjects *s = r->subjects;

	vec_clear(&r->clause);
	if ((values->len ? policy_each(r->policy, values, on_value, r, e)
			 : on_value("", at, r, e)) < 0)
		return -e->code;
	for (size_t i = 0; i < s->of[r->kind].len; i++) {
		bool meant = is_meant(r, i);

		if (meant == unless)
			rule_unset(&s->of[r->kind].at[i].fulfils, rule);
		if (meant)
			rule_put(&s->of[r->kind].at[i].named[unless], rule);
	}
	if (!unless)
		rule_unset(&s->others[r->kind], rule);
	s->asks |= 1u << r->kind;
	return 0;
}

static int rule_apply(struct reading *r, size_t n, struct err *e)
{
	const struct policy_rule *rule = &r->policy->rules.at[n];
	enum policy_object object = kinds[r->kind].object;

	if (object)
		return rule->object && rule->object->object == object
			       ? clause_apply(r, n, &rule->objects, false, rule->object_at, e)
			       : 0;
	vec_for_each(c, &rule->clauses)
		if (c->word->word == kinds[r->kind].word &&
		    clause_apply(r, n, &c->values, c->unless, c->at, e) < 0)
			return -e->code;
	return 0;
}

/* What the domain's rules say of the kind. */
static int clauses_apply(struct reading *r, struct err *e)
{
	for (size_t n = 0; n < r->policy->rules.len; n++)
		if (r->policy->rules.at[n].domain == r->domain && rule_apply(r, n, e) < 0)
			return -e->code;
	return 0;
}

/* Twice: in the second round all that are mentioned anywhere are known. */
static int kinds_read(struct reading *r, struct err *e)
{
	struct subjects *s = r->subjects;
	int err = 0;

	for (int kind = 0; !err && kind < SUBJECT_KINDS; kind++) {
		r->kind = (enum subject_kind)kind;
		memset(&s->others[kind], 0xff, sizeof(s->others[kind]));
		err = clauses_apply(r, e);
		vec_for_each(one, &s->of[kind])
			memset(&one->fulfils, 0xff, sizeof(one->fulfils));
		if (!err)
			err = clauses_apply(r, e);
	}
	vec_done(&r->clause);
	return err;
}

static int sonda_add(struct file_paths *paths, struct err *e)
{
	size_t index;

	if (file_paths_add(paths, "/proc/self/exe", &index, e) < 0)
		return -e->code;
	paths->all.at[index].object.flags |= FILE_IS_SONDA;
	return 0;
}

int subjects_read(struct subjects *s, const struct policy *p, enum policy_domain domain,
		  struct file_paths *paths, bool for_trial, struct err *e)
{
	struct reading r = { .subjects = s, .paths = paths, .policy = p, .domain = domain };

	if (kinds_read(&r, e) < 0 || (!for_trial && sonda_add(paths, e) < 0))
		return -e->code;
	vec_for_each(one, &s->of[SUBJECT_EXE]) {
		paths->all.at[one->value].object.flags |= FILE_IS_SUBJECT;
		paths->all.at[one->value].object.subject = one->fulfils;
	}
	vec_for_each(one, &s->of[TARGET_EXE]) {
		paths->all.at[one->value].object.flags |= FILE_IS_TARGET;
		paths->all.at[one->value].object.self = one->fulfils;
	}
	return 0;
}

void subjects_rules(const struct subjects *s, const struct policy *p, enum policy_domain domain,
		    struct subject_rules *ret)
{
	*ret = (struct subject_rules){ .asks = s->asks };
	memcpy(ret->others, s->others, sizeof(ret->others));
	for (size_t n = 0; n < p->rules.len; n++) {
		const struct policy_rule *r = &p->rules.at[n];

		if (r->domain != domain)
			continue;
		if (r->verdict == POLICY_ALERT)
			rule_put(&ret->alerting, n);
		else if (!policy_rule_audits(r))
			rule_put(&ret->refusing, n);
	}
}

/* ---- into the maps ---- */

static void set_add(struct rule_set *to, const struct rule_set *from)
{
	for (int i = 0; i < RULE_WORDS; i++)
		to->words[i] |= from->words[i];
}

/* Adds to what is there of that inode: it may have several names. */
static int object_put(int map, uint32_t gen, const struct file_id *id,
		      const struct file_object *more, struct err *e)
{
	struct file_key key = { .id = *id, .gen = gen };
	struct file_object object = { 0 };

	(void)!map_get_value(map, &key, &object);
	set_add(&object.self, &more->self);
	set_add(&object.under, &more->under);
	set_add(&object.subject, &more->subject);
	object.name_bits |= more->name_bits;
	object.line |= more->line;
	object.flags |= more->flags;
	return map_set(map, "the files", &key, &object, e);
}

static int place_put(int objects, int names, uint32_t gen, const struct file_path *file,
		     struct err *e)
{
	size_t len = strlen(file->name);
	struct file_place place = { .dir = file->dir, .gen = gen, .len = (uint32_t)len };
	struct file_object dir = { .name_bits = FILE_NAME_BIT(file_name_first(file->name), len) };

	memcpy(place.name, file->name, min(len, sizeof(place.name)));
	if (map_set(names, "the names of files", &place, &file->object, e) < 0)
		return -e->code;
	return object_put(objects, gen, &file->dir, &dir, e);
}

/* Each of the programs is one of those that a line may have. */
static int ancestors_write(const struct subjects *s, struct file_paths *paths,
			   const struct object *o, uint32_t gen, struct err *e)
{
	auto_free struct ancestor_rules *rules = xcalloc(ANCESTOR_RULES, sizeof(*rules));
	int map = object_map_fd(o, "ancestor_rules");

	vec_for_each(one, &s->of[SUBJECT_ANCESTOR]) {
		struct file_path *program = &paths->all.at[one->value];
		uint64_t bit;

		if (ancestry_bit(program, &bit, e) < 0)
			return -e->code;
		program->object.flags |= FILE_IS_ANCESTOR;
		program->object.line = bit;
		for (uint32_t at = ANCESTOR_RULES_AT(gen, 0, 0);
		     at < ANCESTOR_RULES_AT(gen + 1, 0, 0); at++)
			if (bit >> at / 16 % ANCESTOR_PARTS * 4 & at % 16) {
				set_add(&rules[at].gives, &one->named[false]);
				set_add(&rules[at].takes, &one->named[true]);
			}
	}
	for (uint32_t at = ANCESTOR_RULES_AT(gen, 0, 0);
	     s->of[SUBJECT_ANCESTOR].len && at < ANCESTOR_RULES_AT(gen + 1, 0, 0); at++)
		if (map_set(map, "the ancestors", &at, &rules[at], e) < 0)
			return -e->code;
	return 0;
}

static int paths_write(const struct object *o, const struct file_paths *paths, uint32_t gen,
		       struct err *e)
{
	int objects = object_map_fd(o, "file_objects"), names = object_map_fd(o, "file_names");

	vec_for_each(file, &paths->all) {
		if (file->id.inode && object_put(objects, gen, &file->id, &file->object, e) < 0)
			return -e->code;
		if (!file->is_mount && *file->name && place_put(objects, names, gen, file, e) < 0)
			return -e->code;
	}
	return 0;
}

/* Takes the generation's elements out of a hash, whose keys have it at the offset `at`. */
static void generation_clear(int map, size_t key_size, size_t at, uint32_t gen)
{
	char key[sizeof(struct file_place)], next[sizeof(struct file_place)];
	bool more = map_next_key(map, NULL, next);

	while (more) {
		memcpy(key, next, key_size);
		more = map_next_key(map, key, next);
		if (!memcmp(key + at, &gen, sizeof(gen)))
			map_unset(map, key);
	}
}

int subjects_write(const struct subjects *s, struct file_paths *paths, const struct object *o,
		   uint32_t gen, struct err *e)
{
	int map = object_map_fd(o, "subjects");

	generation_clear(object_map_fd(o, "file_objects"), sizeof(struct file_key),
			 offsetof(struct file_key, gen), gen);
	generation_clear(object_map_fd(o, "file_names"), sizeof(struct file_place),
			 offsetof(struct file_place, gen), gen);
	generation_clear(map, sizeof(struct subject_key), offsetof(struct subject_key, gen), gen);
	for (unsigned kind = 0; kind < SUBJECT_KINDS; kind++)
		vec_for_each(one, &s->of[kind]) {
			struct subject_key key = { one->value, kind, gen };

			if (kinds[kind].read != read_exe &&
			    map_set(map, "the subjects", &key, &one->fulfils, e) < 0)
				return -e->code;
		}
	return ancestors_write(s, paths, o, gen, e) < 0 ? -e->code : paths_write(o, paths, gen, e);
}
