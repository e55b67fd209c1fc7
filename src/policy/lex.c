/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens of a policy. */
#include "policy/lex.h"

#include "base/err.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>

static struct policy_at here(const struct lexer *l)
{
	return (struct policy_at){ .line = l->at.line, .column = (unsigned)(l->p - l->line) + 1 };
}

static void new_line(struct lexer *l)
{
	l->at.line++;
	l->line = l->p;
}

/* `p` stands at the '#'. */
static void comment(struct lexer *l, bool alone)
{
	struct policy_comment *c = vec_add(&l->policy->comments);
	const char *end = strchrnul(l->p, '\n');

	while (end > l->p && isspace((unsigned char)end[-1]))
		end--;
	*c = (struct policy_comment){ .text = xstrndup(l->p, (size_t)(end - l->p)),
				      .alone = alone,
				      .line = l->at.line };
	l->p = strchrnul(l->p, '\n');
}

static bool line_is_blank_before(const struct lexer *l)
{
	for (const char *p = l->line; p < l->p; p++)
		if (!isspace((unsigned char)*p))
			return false;
	return true;
}

static void skip(struct lexer *l)
{
	for (;;)
		if (*l->p == '\n') {
			l->p++;
			new_line(l);
		} else if (*l->p == '#')
			comment(l, line_is_blank_before(l));
		else if (*l->p == ' ' || *l->p == '\t' || *l->p == '\r')
			l->p++;
		else
			return;
}

static bool is_word_byte(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr(",=#\"", c);
}

static int quoted(struct lexer *l, struct lex_token *t, struct err *e)
{
	struct strbuf text = { 0 };

	for (l->p++; *l->p && *l->p != '"' && *l->p != '\n'; l->p++) {
		if (*l->p == '\\' && (l->p[1] == '"' || l->p[1] == '\\'))
			l->p++;
		strbuf_putc(&text, *l->p);
	}
	t->type = LEX_STRING;
	t->text = strbuf_take(&text);
	if (*l->p == '"') {
		l->p++;
		return 0;
	}
	return fail_as(e, EXIT_POLICY, EINVAL, "the quote is not closed in its line");
}

static void word(struct lexer *l, struct lex_token *t, enum lex_type type)
{
	const char *begin = l->p;

	while (is_word_byte(*l->p))
		l->p++;
	t->type = type;
	t->text = xstrndup(begin, (size_t)(l->p - begin));
}

int lex_next(struct lexer *l, struct lex_token *ret, struct err *e)
{
	skip(l);
	*ret = (struct lex_token){ .at = here(l) };
	if (!*l->p)
		return 0;
	if (*l->p == '"')
		return quoted(l, ret, e);
	if (*l->p == ',' || *l->p == '=') {
		ret->type = *l->p++ == ',' ? LEX_COMMA : LEX_EQUALS;
		return 0;
	}
	if (*l->p == '@' && is_word_byte(l->p[1])) {
		l->p++;
		word(l, ret, LEX_SET);
		return 0;
	}
	if (*l->p == '@')
		return fail_as(e, EXIT_POLICY, EINVAL, "'@' stands alone: expected a set's name");
	if (is_word_byte(*l->p)) {
		word(l, ret, LEX_WORD);
		return 0;
	}
	return fail_as(e, EXIT_POLICY, EINVAL, "byte 0x%02x has no place here",
		       (unsigned char)*l->p);
}

void lex_quote(const char *text, struct strbuf *out)
{
	strbuf_putc(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			strbuf_putc(out, '\\');
		strbuf_putc(out, *text);
	}
	strbuf_putc(out, '"');
}

void lex_write(const struct policy_value *v, struct strbuf *out)
{
	const char *p = v->text;

	if (v->is_set)
		strbuf_putc(out, '@');
	while (is_word_byte(*p))
		p++;
	if (*p || !*v->text || *v->text == '@')
		lex_quote(v->text, out);
	else
		strbuf_puts(out, v->text);
}
