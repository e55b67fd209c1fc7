/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a condition the kernel can evaluate: plain numbers and short char arrays of the event's own
 * bytes. It is brought into clauses, all of which must hold; a clause is one comparison or several
 * joined by `or`.
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

/* op of the language -> op of the kernel and whether it is negated */
static const struct {
	unsigned char op;
	bool negated;
} kernel_ops[] = {
	[OP_EQ] = { PUSH_EQ, false },         [OP_NE] = { PUSH_EQ, true },
	[OP_IN] = { PUSH_EQ, false },         [OP_LT] = { PUSH_LT, false },
	[OP_GE] = { PUSH_LT, true },          [OP_GT] = { PUSH_GT, false },
	[OP_LE] = { PUSH_GT, true },          [OP_LIKE] = { PUSH_ANY_BIT, false },
	[OP_UNLIKE] = { PUSH_ANY_BIT, true }, [OP_TRUE] = { PUSH_EQ, true },
};

/* Of a test under a `not`, or none: does it say what is not wanted? */
static bool says_not(const struct test *t, bool inverted)
{
	return kernel_ops[t->op].negated != inverted;
}

/* One more comparison of the clause that is being made. */
static bool push_add(struct pushed *p, const struct test *t, bool inverted, struct filter_push push)
{
	if (p->count >= p->limit)
		return false;
	push.field = t->field;
	push.text = t->node->source;
	push.op = kernel_ops[t->op].op;
	push.negated = says_not(t, inverted);
	push.inverted = inverted;
	push.or_next = true;
	p->out[p->count++] = push;
	return true;
}

/* The clause that began at `begin` is whole. */
static void clause_end(struct pushed *p, unsigned begin)
{
	if (p->count > begin)
		p->out[p->count - 1].or_next = false;
}

/* The kernel compares in the field's own signedness: a value outside it is left to userland. */
static bool value_fits(const struct field *f, struct value v)
{
	if (v.type == VALUE_BOOL)
		return true;
	if (v.type != VALUE_U64 && v.type != VALUE_S64)
		return false;
	if (f->is_signed)
		return v.type == VALUE_S64 || v.u64 <= INT64_MAX;
	return v.type == VALUE_U64 || v.s64 >= 0;
}

static bool number_add(struct pushed *p, const struct test *t, bool inverted, struct value v)
{
	struct filter_push push = { .offset = t->field->offset,
				    .size = (uint8_t)t->field->size,
				    .value = v.type == VALUE_BOOL ? v.boolean : v.u64 };

	return value_fits(t->field, v) && push_add(p, t, inverted, push);
}

/* `flags ~ (A, B)`: any of the bits of both */
static bool bits_add(struct pushed *p, const struct test *t, bool inverted)
{
	struct value bits = { .type = VALUE_U64 };

	for (size_t i = 0; i < t->count; i++) {
		if (t->operands[i].is_glob || !value_fits(t->field, t->operands[i].value))
			return false;
		bits.u64 |= t->operands[i].value.u64;
	}
	return number_add(p, t, inverted, bits);
}

/* What one clause can say of a number: any of the values, or not the one. */
static bool number_clause(struct pushed *p, const struct test *t, bool inverted)
{
	if (t->op == OP_TRUE)
		return number_add(p, t, inverted, (struct value){ .type = VALUE_U64 });
	if (kernel_ops[t->op].op == PUSH_ANY_BIT)
		return bits_add(p, t, inverted);
	if (t->count != 1 && says_not(t, inverted))
		return false;
	for (size_t i = 0; i < t->count; i++)
		if (!number_add(p, t, inverted, t->operands[i].value))
			return false;
	return true;
}

/* Eight of the bytes of a char array that holds the nth operand. */
static struct filter_push chars_part(const struct test *t, size_t nth, uint32_t at)
{
	struct filter_push push = { .offset = t->field->offset + at, .size = 8 };
	const char *text = t->operands[nth].text;
	size_t len = strlen(text);

	if (len > at)
		memcpy(&push.value, text + at, min(len - at, sizeof(push.value)));
	return push;
}

static bool plain_chars(const struct test *t)
{
	const struct field *f = t->field;

	if (f->type != FIELD_CHARS || kernel_ops[t->op].op != PUSH_EQ || t->op == OP_TRUE ||
	    f->size > 16 || f->size % 8 || f->offset % 8)
		return false;
	for (size_t i = 0; i < t->count; i++)
		if (strlen(t->operands[i].text) >= f->size)
			return false;
	return true;
}

/* comm != nginx: one of its parts differs. */
static bool chars_differ(struct pushed *p, const struct test *t, bool inverted, size_t nth)
{
	for (uint32_t at = 0; at < t->field->size; at += 8)
		if (!push_add(p, t, inverted, chars_part(t, nth, at)))
			return false;
	return true;
}

/* Adds what the node says to the clause; false: one clause can't say it. */
static bool clause_add(struct pushed *p, size_t at, bool inverted)
{
	const struct node *node = &p->bound->filter->nodes.at[at];
	const struct test *t = &p->bound->tests[at];

	switch (node->type) {
	case NODE_NOT:
		return clause_add(p, node->left, !inverted);
	case NODE_AND:
	case NODE_OR:
		return (node->type == NODE_OR) != inverted && clause_add(p, node->left, inverted) &&
		       clause_add(p, node->right, inverted);
	case NODE_TEST:
		break;
	}
	if (plain_number(t->field))
		return number_clause(p, t, inverted);
	return plain_chars(t) && t->count == 1 && says_not(t, inverted) &&
	       chars_differ(p, t, inverted, 0);
}

/* None of the values: a clause for each. */
static bool push_none_of(struct pushed *p, const struct test *t, bool inverted)
{
	for (size_t i = 0; i < t->count; i++) {
		unsigned begin = p->count;
		bool done = t->field->type == FIELD_CHARS
				    ? chars_differ(p, t, inverted, i)
				    : number_add(p, t, inverted, t->operands[i].value);

		if (!done) {
			p->count = begin;
			return false;
		}
		clause_end(p, begin);
	}
	return true;
}

/* Any of the texts: a clause for each part. They let pass the beginning of one text with the end of
 * another too, where more than one part differs. */
static bool push_chars(struct pushed *p, const struct test *t, bool inverted)
{
	unsigned begin, parts_differ = 0;

	for (uint32_t at = 0; at < t->field->size; at += 8) {
		begin = p->count;
		for (size_t i = 0; i < t->count; i++) {
			struct filter_push part = chars_part(t, i, at);

			if (i && p->out[begin].value == part.value)
				continue;
			if (!push_add(p, t, inverted, part)) {
				p->count = begin;
				return false;
			}
		}
		parts_differ += p->count - begin > 1;
		clause_end(p, begin);
	}
	return parts_differ < 2;
}

/* What takes more than one clause. */
static bool push_test(struct pushed *p, const struct test *t, bool inverted)
{
	if (plain_number(t->field))
		return t->count > 1 && kernel_ops[t->op].op == PUSH_EQ && says_not(t, inverted) &&
		       push_none_of(p, t, inverted);
	if (!plain_chars(t))
		return false;
	return says_not(t, inverted) ? push_none_of(p, t, inverted) : push_chars(p, t, inverted);
}

static void push_node(struct pushed *p, size_t at, bool inverted)
{
	const struct node *node = &p->bound->filter->nodes.at[at];
	unsigned begin = p->count;

	if (node->type == NODE_NOT) {
		push_node(p, node->left, !inverted);
	} else if (node->type == (inverted ? NODE_OR : NODE_AND)) {
		push_node(p, node->left, inverted);
		push_node(p, node->right, inverted);
	} else if (clause_add(p, at, inverted)) {
		clause_end(p, begin);
	} else {
		p->count = begin;
		if (node->type != NODE_TEST || !push_test(p, &p->bound->tests[at], inverted))
			p->all = false;
	}
}

unsigned filter_pushable(const struct filter_bound *b, struct filter_push *out, unsigned limit,
			 bool *ret_all)
{
	struct pushed p = { .bound = b, .out = out, .limit = limit, .all = true };

	assert(b && (out || !limit) && ret_all);
	push_node(&p, b->filter->root, false);
	*ret_all = p.all;
	return p.count;
}
