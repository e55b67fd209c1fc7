/* SPDX-License-Identifier: BSD-2-Clause */
/* Checking an expression against a schema: fields by name, operators by kind, values by kind. */
#include "filter/bound.h"

#include "base/err.h"
#include "schema/kind.h"

#include <assert.h>
#include <errno.h>

#define ON(op) (1u << (op))
#define EQUAL  (ON(OP_EQ) | ON(OP_NE) | ON(OP_IN))
#define ORDER  (ON(OP_LT) | ON(OP_GT) | ON(OP_LE) | ON(OP_GE))
#define ALIKE  (ON(OP_LIKE) | ON(OP_UNLIKE))

/* Which operators each class has, and in words. */
static const struct {
	unsigned ops;
	const char *words;
} classes[CLASS_COUNT] = {
	[CLASS_NUMBER] = { EQUAL | ORDER | ON(OP_TRUE), "== != < > <= >= in" },
	[CLASS_NAME] = { EQUAL | ALIKE | ON(OP_TRUE), "== != in ~ (any of these bits, or a glob)" },
	[CLASS_TEXT] = { EQUAL | ALIKE | ON(OP_TRUE), "== != in ~ (a glob)" },
	[CLASS_IP] = { EQUAL | ON(OP_TRUE), "== != in (10.0.0.0/8)" },
	[CLASS_BOOL] = { ON(OP_EQ) | ON(OP_NE) | ON(OP_TRUE), "alone, == or !=" },
	[CLASS_STACK] = { ALIKE | ON(OP_TRUE), "~ (a glob: kstack ~ '*;vfs_read*')" },
	[CLASS_OTHER] = { 0, "nothing: it can't be compared" },
};

bool field_has_bits(const struct field *f)
{
	return f->flags & FIELD_FLAGS || str_eq(f->kind->name, "open_flags");
}

/* "took" stands for took_ns, "size" for size_bytes. */
static const struct field *field_short(const struct schema *s, const char *name, struct err *e)
{
	const struct field *found = NULL;

	for (size_t i = 0; i < s->field_count; i++) {
		const struct field *f = &s->fields[i];
		const char *rest = str_after(f->name, name);

		if (!rest || rest[0] != '_' || !f->unit[0] || strchr(rest + 1, '_'))
			continue;
		if (found) {
			fail_as(e, EXIT_USAGE, EINVAL, "'%s' may be %s or %s", name, found->name,
				f->name);
			return NULL;
		}
		found = f;
	}
	return found;
}

static const char *field_nth(const void *ctx, size_t i)
{
	const struct schema *s = ctx;

	return i < s->field_count ? s->fields[i].name : NULL;
}

static int field_find(const struct schema *s, const struct node *node, const struct field **ret,
		      struct err *e)
{
	const struct field *f = schema_field(s, node->name);
	const char *near;

	err_clear(e);
	if (!f)
		f = field_short(s, node->name, e);
	if (!f && str_eq(node->name, "time"))
		f = row_time_field();
	if (f) {
		*ret = f;
		return 0;
	}
	if (e->code)
		return at_column(node->at, e);
	near = suggest_from(node->name, field_nth, s);
	fail_as(e, EXIT_USAGE, ENOENT, "%s has no field '%s'%s%s%s", s->probe, node->name,
		near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
	return at_column(node->at, e);
}

static int prefix_parse(const char *slash, struct operand *o, struct err *e)
{
	unsigned most = o->ip.family == 2 ? 32 : 128; /* AF_INET */
	char *end;
	unsigned long n;

	if (!slash) {
		o->prefix = most;
		return 0;
	}
	n = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end || n > most)
		return fail(e, EINVAL, "'%s' is no prefix length (0 to %u)", slash, most);
	o->prefix = (unsigned)n;
	return 0;
}

static int operand_ip(struct operand *o, const char *text, struct err *e)
{
	const char *slash = strchr(text, '/');
	auto_free char *address = xstrndup(text, slash ? (size_t)(slash - text) : strlen(text));
	int err = ip_parse(address, &o->ip, e);

	return err ? err : prefix_parse(slash, o, e);
}

static int operand_ready(const struct test *t, const char *text, struct operand *o, struct err *e)
{
	const struct field *f = t->field;
	bool like = t->op == OP_LIKE || t->op == OP_UNLIKE;

	o->text = text;
	if (f->kind->class == CLASS_IP)
		return operand_ip(o, text, e);
	if (like && !field_has_bits(f)) {
		o->is_glob = true;
		return glob_check(text, e);
	}
	return value_parse(f, text, &o->value, e);
}

static int test_bind(const struct node *node, const struct schema *s, struct test *t, struct err *e)
{
	int err = field_find(s, node, &t->field, e);

	if (err)
		return err;
	t->node = node;
	t->op = node->op;
	if (!(classes[t->field->kind->class].ops & ON(t->op))) {
		fail_as(e, EXIT_USAGE, EINVAL, "%s is a %s and takes %s", t->field->name,
			t->field->kind->name, classes[t->field->kind->class].words);
		return at_column(node->at, e);
	}
	t->count = node->values.len;
	t->operands = xcalloc(t->count + 1, sizeof(*t->operands));
	for (size_t i = 0; i < t->count; i++) {
		err = operand_ready(t, node->values.at[i], &t->operands[i], e);
		if (!err)
			continue;
		e->exit_class = EXIT_USAGE;
		wrap(e, "%s", t->field->name);
		err = at_column(node->at, e);
		e->code = EINVAL; /* ENOENT is an unknown field's */
		return -EINVAL;
	}
	return 0;
}

int filter_bind(const struct filter *f, const struct schema *schema, struct filter_bound **ret,
		struct err *e)
{
	auto_ptr(filter_bound) b = xnew(struct filter_bound);

	assert(f && schema && ret && e);
	b->filter = f;
	b->tests = xcalloc(f->nodes.len, sizeof(*b->tests));
	for (size_t i = 0; i < f->nodes.len; i++) {
		int err = f->nodes.at[i].type == NODE_TEST
				  ? test_bind(&f->nodes.at[i], schema, &b->tests[i], e)
				  : 0;

		if (err)
			return err;
	}
	*ret = TAKE_PTR(b);
	return 0;
}

void filter_bound_free(struct filter_bound *b)
{
	if (!b)
		return;
	for (size_t i = 0; b->tests && i < b->filter->nodes.len; i++)
		free(b->tests[i].operands);
	free(b->tests);
	free(b);
}
