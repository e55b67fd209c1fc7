/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The tables of the language (words.c), for the other files of this folder. */
#include <stddef.h>

#include "base/attr.h"
#include "policy/policy.h"

struct strbuf;

/* What the rules of a domain are like. */
struct policy_domain_row {
	const char *name;     /* "files", for messages */
	const char *subject;  /* stands behind the verdict: "packet"; NULL: operations do */
	const char *expected; /* what a clause may be, for messages */
	unsigned within;      /* a part of that domain, whose words it has too; 0: of none */
};
struct policy_verdict_row {
	const char *name;
	enum policy_verdict verdict;
	unsigned domains; /* POLICY_ABOUT(); of several the operations say which */
	const char *help;
};
struct policy_operation_row {
	const char *name;
	enum policy_domain domain;
	unsigned bits; /* of that domain; several: a name for them together */
	const char *help;
};
MUST_USE const struct policy_domain_row *policy_domain_row(enum policy_domain domain);
/* What a rule of `domain` may turn out to be about, by the words that follow. */
MUST_USE unsigned policy_domains_open(enum policy_domain domain);
/* "read, write" of the bits. */
void policy_operations_name(enum policy_domain domain, unsigned bits, struct strbuf *out);
/* "files", "files and packets". */
void policy_domains_name(unsigned domains, struct strbuf *out);
/* A set that every policy has, unless it defines one of that name. */
struct policy_shipped {
	const char *name;
	const char *help;
	const char *values; /* with ", " between */
};
MUST_USE const struct policy_verdict_row *policy_verdicts(size_t *ret_count);
MUST_USE const struct policy_operation_row *policy_operations(size_t *ret_count);

MUST_USE const struct policy_object_row *policy_objects(size_t *ret_count);

/* NULL: there is none of that name. */
MUST_USE const struct policy_verdict_row *policy_verdict_find(const char *name);
MUST_USE const struct policy_operation_row *policy_operation_find(const char *name);
/* Of several the one that rules of the domain may have. */
MUST_USE const struct policy_word_row *policy_word_find(enum policy_domain domain,
							const char *name);
MUST_USE const struct policy_shipped *policy_shipped_find(const char *name);
MUST_USE const struct policy_shipped *policy_shipped(size_t *ret_count);
MUST_USE const struct policy_word_row *policy_word_row(enum policy_word word);

/* Of the domain, behind `before`. */
MUST_USE const struct policy_object_row *policy_object_find(enum policy_domain domain,
							    const char *before, const char *name);

/* What follows the word before its value: "at" in "trip at 100/min"; NULL: nothing. */
MUST_USE const char *policy_word_second(enum policy_word word);

/* What stands between a limit's parts. */
MUST_USE const char *policy_per_name(enum policy_per per);

/* For suggestions: the i-th name, NULL at the end. */
MUST_USE const char *policy_verdict_nth(const void *ctx, size_t i);
MUST_USE const char *policy_operation_nth(const void *ctx, size_t i);
/* The i-th of a domain behind `before`; NULL at the end. */
MUST_USE const struct policy_object_row *policy_object_nth(enum policy_domain domain,
							   const char *before, size_t i);
/* Of the words that rules of a domain (`ctx`: enum policy_domain *) may have. */
MUST_USE const char *policy_word_nth(const void *ctx, size_t i);

/* "a path", "a network", for messages. */
MUST_USE const char *policy_form_name(enum policy_form form);
/* Checks one value's form. Errors: what was expected. */
MUST_USE int policy_form_check(enum policy_form form, const char *text, struct err *e);
