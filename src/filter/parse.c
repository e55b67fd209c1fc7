/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From text to tree, by descent:
 *	expr  = both { "or" both }
 *	both  = part { "and" part }
 *	part  = "not" part | "(" expr ")" | test
 *	test  = FIELD [ OP value | ["not"] "in" value { "," value } ]
 */
#include "filter/tree.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>

#define DEPTH_MAX 64 /* of parentheses and nots */
#define NODES_MAX 1024

struct parser {
	struct filter *filter;
	struct token token; /* looked at, not taken */
	size_t pos;
	size_t last_end; /* where the last token taken ended */
	unsigned depth;
	struct err *e;
};

static int parse_expr(struct parser *p, size_t *ret_node);

static int parser_take(struct parser *p)
{
	p->last_end = p->token.end;
	free(p->token.text);
	p->token.text = NULL;
	return token_next(p->filter->source, &p->pos, &p->token, p->e);
}

static int parser_expected(struct parser *p, const char *what)
{
	struct token *t = &p->token;

	if (t->type == TOKEN_END)
		fail_as(p->e, EXIT_USAGE, EINVAL, "%s is expected at the end", what);
	else
		fail_as(p->e, EXIT_USAGE, EINVAL, "%s is expected, not '%.*s'", what,
			(int)(t->end - t->at), p->filter->source + t->at);
	return at_column(t->at, p->e);
}

static int node_add(struct parser *p, enum node_type type, size_t left, size_t right,
		    size_t *ret_node)
{
	struct node *node;

	if (p->filter->nodes.len >= NODES_MAX)
		return fail_as(p->e, EXIT_USAGE, E2BIG, "the expression has more than %d parts",
			       NODES_MAX);
	node = vec_add(&p->filter->nodes);
	node->type = type;
	node->left = left;
	node->right = right;
	*ret_node = p->filter->nodes.len - 1;
	return 0;
}

static int parse_value(struct parser *p, size_t node)
{
	/* a word of the language may be a value too: comm == in */
	if (!p->token.text)
		return parser_expected(p, "a value");
	strlist_add(&p->filter->nodes.at[node].values, p->token.text);
	return parser_take(p);
}

static int parse_list(struct parser *p, size_t node)
{
	bool parenthesised = p->token.type == TOKEN_OPEN;
	int err = parenthesised ? parser_take(p) : 0;

	if (!err)
		err = parse_value(p, node);
	while (!err && p->token.type == TOKEN_COMMA) {
		err = parser_take(p);
		if (!err)
			err = parse_value(p, node);
	}
	if (err || !parenthesised)
		return err;
	return p->token.type == TOKEN_CLOSE ? parser_take(p) : parser_expected(p, "')'");
}

/* What follows the field's name. */
static int parse_relation(struct parser *p, size_t node)
{
	enum filter_op op = p->token.op;
	int err;

	if (p->token.type == TOKEN_IN || p->token.type == TOKEN_OP) {
		op = p->token.type == TOKEN_IN ? OP_IN : op;
		p->filter->nodes.at[node].op = op;
		err = parser_take(p);
		if (err)
			return err;
		return op == OP_IN || op == OP_EQ || op == OP_NE || op == OP_LIKE
			       ? parse_list(p, node)
			       : parse_value(p, node);
	}
	p->filter->nodes.at[node].op = OP_TRUE;
	return 0;
}

static int parse_test(struct parser *p, size_t *ret_node)
{
	size_t begin = p->token.at;
	bool negated = false;
	struct node *node;
	size_t at;
	int err;

	if (p->token.type != TOKEN_WORD)
		return parser_expected(p, "the name of a field");
	err = node_add(p, NODE_TEST, NO_NODE, NO_NODE, &at);
	if (err)
		return err;
	p->filter->nodes.at[at].name = p->token.text;
	p->filter->nodes.at[at].at = begin;
	p->token.text = NULL;
	err = parser_take(p);
	if (!err && p->token.type == TOKEN_NOT) {
		negated = true;
		err = parser_take(p);
		if (!err && p->token.type != TOKEN_IN)
			err = parser_expected(p, "'in'");
	}
	if (!err)
		err = parse_relation(p, at);
	if (err)
		return err;
	node = &p->filter->nodes.at[at];
	node->source = xstrndup(p->filter->source + begin, p->last_end - begin);
	*ret_node = at;
	return negated ? node_add(p, NODE_NOT, at, NO_NODE, ret_node) : 0;
}

static int parse_part(struct parser *p, size_t *ret_node)
{
	bool negated = p->token.type == TOKEN_NOT;
	size_t inner;
	int err;

	if (!negated && p->token.type != TOKEN_OPEN)
		return parse_test(p, ret_node);
	if (++p->depth > DEPTH_MAX) {
		fail_as(p->e, EXIT_USAGE, E2BIG, "nested deeper than %d", DEPTH_MAX);
		return at_column(p->token.at, p->e);
	}
	err = parser_take(p);
	if (!err)
		err = negated ? parse_part(p, &inner) : parse_expr(p, &inner);
	p->depth--;
	if (err)
		return err;
	if (negated)
		return node_add(p, NODE_NOT, inner, NO_NODE, ret_node);
	*ret_node = inner;
	return p->token.type == TOKEN_CLOSE ? parser_take(p)
					    : parser_expected(p, "')', 'and' or 'or'");
}

/* A chain of `inner` joined by one word. */
static int parse_chain(struct parser *p, enum token_type joint, enum node_type type,
		       int (*inner)(struct parser *, size_t *), size_t *ret_node)
{
	size_t left, right;
	int err = inner(p, &left);

	while (!err && p->token.type == joint) {
		err = parser_take(p);
		if (!err)
			err = inner(p, &right);
		if (!err)
			err = node_add(p, type, left, right, &left);
	}
	*ret_node = left;
	return err;
}

static int parse_both(struct parser *p, size_t *ret_node)
{
	return parse_chain(p, TOKEN_AND, NODE_AND, parse_part, ret_node);
}

static int parse_expr(struct parser *p, size_t *ret_node)
{
	return parse_chain(p, TOKEN_OR, NODE_OR, parse_both, ret_node);
}

int filter_parse(const char *text, struct filter **ret, struct err *e)
{
	auto_ptr(filter) f = xnew(struct filter);
	struct parser p = { .filter = f, .e = e };
	int err;

	assert(text && ret && e);
	f->source = xstrdup(text);
	f->root = NO_NODE;
	err = parser_take(&p);
	if (!err && p.token.type == TOKEN_END)
		err = fail_as(e, EXIT_USAGE, EINVAL, "a condition is expected, such as err != 0");
	if (!err)
		err = parse_expr(&p, &f->root);
	if (!err && p.token.type != TOKEN_END)
		err = parser_expected(&p, "'and' or 'or'");
	free(p.token.text);
	if (err)
		return err;
	*ret = TAKE_PTR(f);
	return 0;
}

const char *filter_field(const struct filter *f, size_t nth)
{
	for (size_t i = 0; i < f->nodes.len; i++)
		if (f->nodes.at[i].type == NODE_TEST && !nth--)
			return f->nodes.at[i].name;
	return NULL;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	vec_for_each(node, &f->nodes) {
		free(node->name);
		free(node->source);
		strlist_done(&node->values);
	}
	vec_done(&f->nodes);
	free(f->source);
	free(f);
}
