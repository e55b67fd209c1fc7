/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Reads what a probe declares from its object's BTF. Objects are foreign input: every offset, count
 * and depth is bounded here, and what does not fit the language is refused with a sentence.
 */
#include "base/mem.h"
#include "schema/schema.h"

struct object;
struct err;

/* `fallback_name` names a probe that has no PROBE of its own ("mine" for ./mine.bpf.o).
 * *ret is the caller's and owns all its strings: the object may be closed before.
 * Enum names are taken from the running kernel's BTF where it has the enum, else the object's.
 * Errors: EINVAL (a declaration that is wrong: which, and what was expected). */
MUST_USE int declaration_read(const struct object *object, const char *fallback_name,
			      struct declaration **ret, struct err *e);
void declaration_free(struct declaration *d);
AUTO_PTR(declaration)
