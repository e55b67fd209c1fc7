/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens of an expression. */
#include "filter/tree.h"

#include "base/err.h"

#include <ctype.h>
#include <errno.h>

/* clang-format off */
static const struct {
	const char *text;
	enum token_type type;
	enum filter_op op;
} marks[] = { /* longer ones first */
	{ "==", TOKEN_OP, OP_EQ }, { "!=", TOKEN_OP, OP_NE }, { "<=", TOKEN_OP, OP_LE },
	{ ">=", TOKEN_OP, OP_GE }, { "!~", TOKEN_OP, OP_UNLIKE }, { "=~", TOKEN_OP, OP_LIKE },
	{ "&&", TOKEN_AND, 0 }, { "||", TOKEN_OR, 0 },
	{ "=", TOKEN_OP, OP_EQ }, { "<", TOKEN_OP, OP_LT }, { ">", TOKEN_OP, OP_GT },
	{ "~", TOKEN_OP, OP_LIKE }, { "!", TOKEN_NOT, 0 },
	{ "(", TOKEN_OPEN, 0 }, { ")", TOKEN_CLOSE, 0 }, { ",", TOKEN_COMMA, 0 },
}, words[] = {
	{ "and", TOKEN_AND, 0 }, { "or", TOKEN_OR, 0 }, { "not", TOKEN_NOT, 0 }, { "in", TOKEN_IN, 0 },
};
/* clang-format on */

int at_column(size_t at, struct err *e)
{
	return wrap(e, "column %zu", at + 1);
}

/* What may stand in a word without quotes: names, numbers with units, paths, globs, addresses, and
 * names of bits joined by a single '|'. */
static bool is_word_char(const char *p)
{
	if (*p == '|')
		return p[1] != '|';
	return *p && !isspace((unsigned char)*p) && !strchr("()=<>~,'\"&", *p) &&
	       !(*p == '!' && (p[1] == '=' || p[1] == '~'));
}

static int token_quoted(const char *source, size_t *at, struct token *t, struct err *e)
{
	char quote = source[*at];
	struct strbuf text = { 0 };
	const char *p = source + *at + 1;

	for (; *p && *p != quote; p++) {
		/* \' \" and \\ stand for themselves; any other backslash is the glob's */
		if (*p == '\\' && (p[1] == quote || p[1] == '\\'))
			p++;
		strbuf_putc(&text, *p);
	}
	if (!*p) {
		strbuf_done(&text);
		fail_as(e, EXIT_USAGE, EINVAL, "the quote %c is not closed", quote);
		return at_column(*at, e);
	}
	t->type = TOKEN_STRING;
	t->text = strbuf_take(&text);
	*at = (size_t)(p + 1 - source);
	return 0;
}

static bool token_mark(const char *source, size_t *at, struct token *t)
{
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (str_startswith(source + *at, marks[i].text)) {
			t->type = marks[i].type;
			t->op = marks[i].op;
			*at += strlen(marks[i].text);
			return true;
		}
	return false;
}

static void token_word(const char *source, size_t *at, struct token *t)
{
	const char *begin = source + *at, *p = begin;

	while (is_word_char(p))
		p++;
	t->type = TOKEN_WORD;
	t->text = xstrndup(begin, (size_t)(p - begin));
	*at = (size_t)(p - source);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(t->text, words[i].text))
			t->type = words[i].type;
}

int token_next(const char *source, size_t *at, struct token *ret, struct err *e)
{
	struct token t = { 0 };
	int err = 0;

	while (isspace((unsigned char)source[*at]))
		(*at)++;
	t.at = *at;
	if (!source[*at])
		t.type = TOKEN_END;
	else if (source[*at] == '\'' || source[*at] == '"')
		err = token_quoted(source, at, &t, e);
	else if (is_word_char(source + *at) && source[*at] != '!')
		token_word(source, at, &t);
	else if (!token_mark(source, at, &t)) {
		fail_as(e, EXIT_USAGE, EINVAL, "'%c' has no place here", source[*at]);
		err = at_column(*at, e);
	}
	if (err)
		return err;
	t.end = *at;
	*ret = t;
	return 0;
}
