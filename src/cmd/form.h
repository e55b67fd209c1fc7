/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The output of commands whose rows are few and of their own making: text, JSON, and CSV of that JSON. One thread. */
#include <stdbool.h>

#include "base/attr.h"

struct err;
struct strbuf;

enum form { FORM_TEXT, FORM_JSON, FORM_CSV };

/* What -o named; NULL: text. Errors: EXIT_USAGE. */
MUST_USE int form_choose(const char *name, enum form *ret, struct err *e);

/* Makes CSV of a line of JSON each: the members that `columns` names ("probe,works"), which is the header too. What
 * lies deeper is left out. */
MUST_USE int form_csv(struct strbuf *lines, const char *columns, bool no_header, struct err *e);
