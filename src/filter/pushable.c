/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a condition the kernel can evaluate: plain numbers and short char arrays of the event's own
 * bytes, compared with one value, joined by `and` at the top.
 */
#include "filter/bound.h"

#include "schema/kind.h"

#include <assert.h>

struct pushed {
	const struct filter_bound *bound;
	struct filter_push *out;
	unsigned limit, count;
	bool all;
};

static bool plain_number(const struct field *f)
{
	bool of_size = f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8;

	return (f->type == FIELD_INT || f->type == FIELD_ENUM) && !f->bits && of_size &&
	       f->offset % f->size == 0;
}

static bool push_add(struct pushed *p, const struct test *t, struct filter_push push)
{
	if (p->count >= p->limit)
		return false;
	push.field = t->field;
	push.text = t->node->source;
	p->out[p->count++] = push;
	return true;
}

/* op of the language -> op of the kernel and whether it is negated */
static const struct {
	bool possible;
	unsigned char op;
	bool negated;
} kernel_ops[] = {
	[OP_EQ] = { true, PUSH_EQ, false },         [OP_NE] = { true, PUSH_EQ, true },
	[OP_IN] = { true, PUSH_EQ, false },         [OP_LT] = { true, PUSH_LT, false },
	[OP_GE] = { true, PUSH_LT, true },          [OP_GT] = { true, PUSH_GT, false },
	[OP_LE] = { true, PUSH_GT, true },          [OP_LIKE] = { true, PUSH_ANY_BIT, false },
	[OP_UNLIKE] = { true, PUSH_ANY_BIT, true },
};

/* The kernel compares in the field's own signedness: a value outside it is left to userland. */
static bool value_fits(const struct field *f, struct value v)
{
	if (v.type != VALUE_U64 && v.type != VALUE_S64)
		return false;
	if (f->is_signed)
		return v.type == VALUE_S64 || v.u64 <= INT64_MAX;
	return v.type == VALUE_U64 || v.s64 >= 0;
}

static bool push_number(struct pushed *p, const struct test *t)
{
	struct filter_push push = { .offset = t->field->offset, .size = (uint8_t)t->field->size };

	if (t->op == OP_TRUE) {
		push.op = PUSH_EQ;
		push.negated = true;
		return push_add(p, t, push);
	}
	if (t->count != 1 || t->operands[0].is_glob || !kernel_ops[t->op].possible)
		return false;
	push.op = kernel_ops[t->op].op;
	push.negated = kernel_ops[t->op].negated;
	if (t->operands[0].value.type == VALUE_BOOL) {
		push.value = t->operands[0].value.boolean;
		return push_add(p, t, push);
	}
	if (!value_fits(t->field, t->operands[0].value))
		return false;
	push.value = t->operands[0].value.u64;
	return push_add(p, t, push);
}

/* comm == "nginx": 8 bytes at a time. */
static bool push_chars(struct pushed *p, const struct test *t)
{
	const struct field *f = t->field;
	char bytes[16] = { 0 };
	size_t len;

	if ((t->op != OP_EQ && t->op != OP_IN) || t->count != 1 || f->size > sizeof(bytes) ||
	    f->size % 8 || f->offset % 8 || p->limit - p->count < f->size / 8)
		return false;
	len = strlen(t->operands[0].text);
	if (len >= f->size)
		return false;
	memcpy(bytes, t->operands[0].text, len);
	for (uint32_t at = 0; at < f->size; at += 8) {
		struct filter_push push = { .op = PUSH_EQ, .offset = f->offset + at, .size = 8 };

		memcpy(&push.value, bytes + at, 8);
		if (!push_add(p, t, push))
			return false;
	}
	return true;
}

static void push_node(struct pushed *p, size_t at)
{
	const struct node *node = &p->bound->filter->nodes.at[at];
	const struct test *t = &p->bound->tests[at];
	bool done = false;

	if (node->type == NODE_AND) {
		push_node(p, node->left);
		push_node(p, node->right);
		return;
	}
	if (node->type == NODE_TEST && plain_number(t->field))
		done = push_number(p, t);
	else if (node->type == NODE_TEST && t->field->type == FIELD_CHARS)
		done = push_chars(p, t);
	if (!done)
		p->all = false;
}

unsigned filter_pushable(const struct filter_bound *b, struct filter_push *out, unsigned limit,
			 bool *ret_all)
{
	struct pushed p = { .bound = b, .out = out, .limit = limit, .all = true };

	assert(b && (out || !limit) && ret_all);
	push_node(&p, b->filter->root);
	*ret_all = p.all;
	return p.count;
}
