/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The tree of an expression, between the filter's own files. Nodes lie in an array; children by index. */
#include "base/str.h"
#include "base/vec.h"
#include "filter/filter.h"

enum token_type {
	TOKEN_END,
	TOKEN_WORD,   /* a name or a value, unquoted */
	TOKEN_STRING, /* quoted */
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_COMMA,
	TOKEN_OP, /* == != < > <= >= ~ !~ */
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_IN,
};

enum filter_op { OP_EQ, OP_NE, OP_LT, OP_GT, OP_LE, OP_GE, OP_LIKE, OP_UNLIKE, OP_IN, OP_TRUE };

struct token {
	enum token_type type;
	enum filter_op op; /* TOKEN_OP */
	char *text;        /* TOKEN_WORD, TOKEN_STRING: unescaped */
	size_t at, end;    /* bytes of the source */
};

/* The next token from *at on. Errors: EINVAL (an unclosed quote, a character that has no place). */
MUST_USE int token_next(const char *source, size_t *at, struct token *ret, struct err *e);

enum node_type { NODE_AND, NODE_OR, NODE_NOT, NODE_TEST };

#define NO_NODE ((size_t)-1)

struct node {
	enum node_type type;
	size_t left, right; /* NO_NODE: none */
	char *name;         /* NODE_TEST: of the field */
	enum filter_op op;
	struct strlist values; /* as written */
	char *source;          /* "err != 0" */
	size_t at;             /* where the test begins in the source */
};

struct filter {
	char *source;
	vec(struct node) nodes;
	size_t root;
};

/* "column 7: " context, counted from 1. Returns -e->code. */
int at_column(size_t at, struct err *e);
