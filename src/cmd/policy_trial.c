/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy test`: each recorded operation is put to the policy; what would have been refused is told
 * by rule, file, program and user, with how often. */
#include "cmd/policy_trial.h"

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/table.h"
#include "policy/judge.h"
#include "policy/words.h"
#include "sink/out.h"
#include "transport/recorded.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Operations that would have been refused, alike in all that is told of them. */
struct refused {
	const char *rule;
	char *path, *exe, *user; /* exe, user: "" where it isn't known */
	uint64_t count;
	bool perhaps; /* a condition is about what was not recorded */
};

struct trial {
	const struct policy *policy;
	struct accounts *accounts;
	struct map index; /* to places in `refused`, from 1 */
	vec(struct refused) refused;
	uint64_t judged, would, perhaps;
	struct err *e;
};

/* ---- what a row is about ---- */

static char *field_text(const struct row *r, const char *name)
{
	const struct field *f = schema_field(r->schema, name);
	struct value v = f ? row_value(r, f) : value_none();

	return v.type == VALUE_TEXT && v.text.len ? xstrndup(v.text.s, v.text.len) : NULL;
}

static uint64_t field_number(const struct row *r, const char *name)
{
	const struct field *f = schema_field(r->schema, name);
	struct value v = f ? row_value(r, f) : value_none();

	return v.type == VALUE_U64 || v.type == VALUE_S64 ? v.u64 : 0;
}

static unsigned open_operations(const struct row *r)
{
	uint64_t flags = field_number(r, "flags");
	unsigned access = (unsigned)flags & O_ACCMODE, operations = 0;

	if (flags & O_PATH)
		return 0;
	if (access != O_WRONLY)
		operations |= POLICY_READ;
	if (access != O_RDONLY)
		operations |= POLICY_WRITE;
	return operations | (flags & O_TRUNC ? POLICY_TRUNCATE : 0);
}

static unsigned exec_operations(const struct row *r)
{
	(void)r;
	return POLICY_EXEC;
}

static unsigned remove_operations(const struct row *r)
{
	static const struct {
		const char *name;
		unsigned operations;
	} ops[] = {
		{ "unlink", POLICY_UNLINK },
		{ "rmdir", POLICY_UNLINK },
		{ "rename", POLICY_RENAME },
		{ "link", POLICY_LINK },
	};
	const struct field *f = schema_field(r->schema, "op");
	const char *name = f && f->names ? names_get(f->names, field_number(r, "op")) : NULL;

	for (size_t i = 0; name && i < ARRAY_LEN(ops); i++)
		if (str_eq(ops[i].name, name))
			return ops[i].operations;
	return 0;
}

static const struct {
	const char *probe;
	const char *path; /* the field that names the file */
	unsigned (*operations)(const struct row *r);
	bool subject; /* the field exe is of who asks */
} judged_probes[] = {
	{ "fs.open", "path", open_operations, true },
	{ "fs.remove", "path", remove_operations, true },
	{ "process.exec", "file", exec_operations, false },
};

/* ---- judging ---- */

static struct refused *refused_entry(struct trial *t, const struct policy_rule *rule,
				     const struct policy_question *q)
{
	auto_done(strbuf) key = { 0 };
	struct refused *entry;
	uintptr_t place;

	strbuf_appendf(&key, "%s\n%s\n%s\n%s", rule->name, q->path, q->exe ?: "", q->user ?: "");
	place = (uintptr_t)map_get_bytes(&t->index, key.s, key.len);
	if (place)
		return &t->refused.at[place - 1];
	entry = vec_add(&t->refused);
	*entry = (struct refused){ .rule = rule->name,
				   .path = xstrdup(q->path),
				   .exe = xstrdup(q->exe ?: ""),
				   .user = xstrdup(q->user ?: "") };
	map_put_bytes(&t->index, key.s, key.len, (void *)(uintptr_t)t->refused.len);
	return entry;
}

static int judge(struct trial *t, const struct policy_question *q)
{
	enum policy_answer worst = ANSWER_NO;

	vec_for_each(rule, &t->policy->rules) {
		enum policy_answer answer;
		struct refused *entry;

		if (rule->verdict != POLICY_DENY)
			continue;
		if (policy_judge(t->policy, rule, q, &answer, t->e) < 0)
			return -t->e->code;
		if (answer == ANSWER_NO)
			continue;
		entry = refused_entry(t, rule, q);
		entry->count++;
		entry->perhaps |= answer == ANSWER_UNKNOWN;
		worst = worst == ANSWER_YES ? worst : answer;
	}
	t->judged++;
	t->would += worst == ANSWER_YES;
	t->perhaps += worst == ANSWER_UNKNOWN;
	return 0;
}

static int on_row(const struct row *r, void *ctx)
{
	struct trial *t = ctx;
	auto_free char *path = NULL, *exe = NULL, *user = NULL, *cgroup = NULL;
	struct policy_question q = { .accounts = t->accounts };
	size_t i = 0;

	while (i < ARRAY_LEN(judged_probes) && !str_eq(judged_probes[i].probe, r->schema->probe))
		i++;
	if (i == ARRAY_LEN(judged_probes) || field_number(r, "err"))
		return 0;
	path = field_text(r, judged_probes[i].path);
	q.operations = judged_probes[i].operations(r);
	if (!path || *path != '/' || !q.operations)
		return 0;
	exe = judged_probes[i].subject ? field_text(r, "exe") : NULL;
	user = field_text(r, "user");
	cgroup = field_text(r, "cgroup_path");
	q.path = path;
	q.exe = exe;
	q.user = user;
	q.cgroup = cgroup;
	return judge(t, &q);
}

static int read_all(struct trial *t, const char *path, struct err *e)
{
	struct stream *stream = NULL;
	int n = 1;

	if (recorded_open(path, &stream, e) < 0)
		return -e->code;
	while (n > 0)
		n = stream->ops->drain(stream, 1024, on_row, t, e);
	stream_free(stream);
	return n < 0 ? n : 0;
}

/* ---- telling ---- */

static int by_count(const void *a, const void *b)
{
	const struct refused *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : strcmp(x->path, y->path);
}

static void tell_text(const struct trial *t, struct strbuf *out)
{
	static const struct table_col cols[] = {
		{ "TIMES", .align = TABLE_RIGHT, .min_cols = 6 },
		{ "RULE", .min_cols = 12 },
		{ "", .min_cols = 7 },
		{ "USER", .min_cols = 8 },
		{ "EXE", .min_cols = 20 },
		{ "FILE" },
	};
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO) };
	auto_ptr(table) table = table_new(cols, ARRAY_LEN(cols), style, out);

	vec_for_each(r, &t->refused) {
		table_cellf(table, TERM_PLAIN, "%llu", (unsigned long long)r->count);
		table_str(table, r->rule);
		table_str(table, r->perhaps ? "perhaps" : "");
		table_str(table, *r->user ? r->user : "-");
		table_str(table, *r->exe ? r->exe : "-");
		table_str(table, r->path);
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
		json_text(&j, "rule", r->rule);
		json_key(&j, "times");
		json_u64(&j, r->count);
		json_key(&j, "perhaps");
		json_bool(&j, r->perhaps);
		json_text(&j, "user", r->user);
		json_text(&j, "exe", r->exe);
		json_text(&j, "path", r->path);
		json_obj_end(&j);
		json_line_end(&j);
	}
}

static void trial_done(struct trial *t)
{
	vec_for_each(r, &t->refused) {
		free(r->path);
		free(r->exe);
		free(r->user);
	}
	vec_done(&t->refused);
	map_done(&t->index, NULL);
	accounts_free(t->accounts);
}

int policy_trial_print(const struct policy *p, const char *path, const char *format, struct err *e)
{
	struct trial t = { .policy = p, .accounts = accounts_new(NULL, NULL), .e = e };
	auto_done(strbuf) out = { 0 };
	int err = read_all(&t, path, e);

	vec_sort(&t.refused, by_count);
	if (!err && format && str_eq(format, "json"))
		tell_json(&t, &out);
	else if (!err)
		tell_text(&t, &out);
	if (!err)
		err = out_write(&out, STDOUT_FILENO, -1, e);
	if (!err)
		log_note(NULL, "%llu operations judged: %llu would have been refused, %llu perhaps",
			 (unsigned long long)t.judged, (unsigned long long)t.would,
			 (unsigned long long)t.perhaps);
	trial_done(&t);
	return err;
}
