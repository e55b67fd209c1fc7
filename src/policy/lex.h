/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Tokens of a policy: words, quoted texts, @sets, commas, the sign '='. Blanks and line ends only part
 * words. A comment runs from '#' to the end of its line; the lexer hands it out apart.
 */
#include "base/attr.h"
#include "base/vec.h"
#include "policy/policy.h"

struct err;

enum lex_type { LEX_END, LEX_WORD, LEX_STRING, LEX_SET, LEX_COMMA, LEX_EQUALS };

struct lex_token {
	enum lex_type type;
	char *text; /* WORD, STRING (unescaped), SET (without '@'); free() it */
	struct policy_at at;
};

struct lexer {
	const char *p;         /* what comes next */
	const char *line;      /* beginning of its line */
	struct policy_at at;   /* of `p`; only `line` is kept up */
	struct policy *policy; /* gets the comments */
};

/* Errors: EINVAL (an unclosed quote, a byte that isn't text); `ret->at` says where. */
MUST_USE int lex_next(struct lexer *l, struct lex_token *ret, struct err *e);

/* How a value is written so that it is read back the same: quoted where it must be. */
struct strbuf;
void lex_write(const struct policy_value *v, struct strbuf *out);
void lex_quote(const char *text, struct strbuf *out);
