/* SPDX-License-Identifier: BSD-2-Clause */
/* Evaluating a bound expression on a row: no allocation. */
#include "filter/bound.h"

#include "schema/kind.h"

#include <assert.h>

#define GLOB_TEXT_MAX 4096 /* longer texts are matched by their beginning */

static int compare_numbers(struct value a, struct value b)
{
	if (a.type == VALUE_DOUBLE || b.type == VALUE_DOUBLE) {
		double x = a.type == VALUE_DOUBLE ? a.dbl
			   : a.type == VALUE_S64  ? (double)a.s64
						  : (double)a.u64;
		double y = b.type == VALUE_DOUBLE ? b.dbl
			   : b.type == VALUE_S64  ? (double)b.s64
						  : (double)b.u64;

		return x < y ? -1 : x > y;
	}
	/* a negative number is below every unsigned one */
	if (a.type == VALUE_S64 && a.s64 < 0)
		return b.type == VALUE_S64 && b.s64 < 0 ? (a.s64 < b.s64 ? -1 : a.s64 > b.s64) : -1;
	if (b.type == VALUE_S64 && b.s64 < 0)
		return 1;
	return a.u64 < b.u64 ? -1 : a.u64 > b.u64;
}

static bool same_text(struct value v, const char *text)
{
	return v.text.len == strlen(text) && !memcmp(v.text.s, text, v.text.len);
}

/* Arguments lie NUL-separated: a glob sees blanks. */
static bool text_like(struct value v, const char *glob)
{
	char text[GLOB_TEXT_MAX];
	size_t len = min((size_t)v.text.len, sizeof(text) - 1);

	memcpy(text, v.text.s, len);
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = ' ';
	text[len] = '\0';
	return glob_matches(glob, text);
}

static bool printed_like(const struct field *f, struct value v, const char *glob)
{
	struct strbuf text = { 0 };
	bool like;

	value_text_form(&text, f, v);
	like = glob_matches(glob, strbuf_str(&text));
	strbuf_done(&text);
	return like;
}

static bool ip_within(const struct ip *ip, const struct operand *o)
{
	unsigned bytes = o->prefix / 8, bits = o->prefix % 8;

	if (ip->family != o->ip.family || memcmp(ip->bytes, o->ip.bytes, bytes))
		return false;
	return !bits || !((ip->bytes[bytes] ^ o->ip.bytes[bytes]) >> (8 - bits));
}

static bool operand_equal(const struct test *t, struct value v, const struct operand *o)
{
	if (v.type == VALUE_TEXT)
		return same_text(v, o->text);
	if (v.type == VALUE_IP)
		return ip_within(&v.ip, o);
	if (v.type == VALUE_BOOL)
		return v.boolean == o->value.boolean;
	if (o->value.type == VALUE_TEXT)
		return printed_like(t->field, v, o->text);
	return !compare_numbers(v, o->value);
}

static bool operand_like(const struct test *t, struct value v, const struct operand *o)
{
	if (!o->is_glob)
		return v.u64 & o->value.u64;
	return v.type == VALUE_TEXT ? text_like(v, o->text) : printed_like(t->field, v, o->text);
}

static bool any_operand(const struct test *t, struct value v,
			bool (*holds)(const struct test *, struct value, const struct operand *))
{
	for (size_t i = 0; i < t->count; i++)
		if (holds(t, v, &t->operands[i]))
			return true;
	return false;
}

static bool value_true(struct value v)
{
	switch (v.type) {
	case VALUE_BOOL:
		return v.boolean;
	case VALUE_TEXT:
		return v.text.len;
	case VALUE_IP:
		return v.ip.family;
	case VALUE_DOUBLE:
		return v.dbl != 0;
	case VALUE_U64:
	case VALUE_S64:
		return v.u64;
	case VALUE_NONE:
	case VALUE_BYTES:
	case VALUE_LIST:
		break;
	}
	return false;
}

static bool test_holds(const struct test *t, struct value v)
{
	switch (t->op) {
	case OP_EQ:
	case OP_IN:
		return any_operand(t, v, operand_equal);
	case OP_NE:
		return !any_operand(t, v, operand_equal);
	case OP_LIKE:
		return any_operand(t, v, operand_like);
	case OP_UNLIKE:
		return !any_operand(t, v, operand_like);
	case OP_LT:
		return compare_numbers(v, t->operands[0].value) < 0;
	case OP_GT:
		return compare_numbers(v, t->operands[0].value) > 0;
	case OP_LE:
		return compare_numbers(v, t->operands[0].value) <= 0;
	case OP_GE:
		return compare_numbers(v, t->operands[0].value) >= 0;
	case OP_TRUE:
		return value_true(v);
	}
	return false;
}

static bool field_holds(const struct test *t, const struct row *r)
{
	struct value v = row_value(r, t->field);

	return v.type != VALUE_NONE && test_holds(t, v);
}

static bool node_holds(const struct filter_bound *b, size_t at, const struct row *r)
{
	const struct node *node = &b->filter->nodes.at[at];

	switch (node->type) {
	case NODE_AND:
		return node_holds(b, node->left, r) && node_holds(b, node->right, r);
	case NODE_OR:
		return node_holds(b, node->left, r) || node_holds(b, node->right, r);
	case NODE_NOT:
		return !node_holds(b, node->left, r);
	case NODE_TEST:
		return field_holds(&b->tests[at], r);
	}
	return false;
}

bool filter_matches(const struct filter_bound *b, const struct row *r)
{
	assert(b && r);
	return node_holds(b, b->filter->root, r);
}
