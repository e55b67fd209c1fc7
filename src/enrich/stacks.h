/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Stacks of rows become names: fields that hold addresses, and labels that stand for them. One thread. */
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/mem.h"
#include "enrich/enrich.h"

struct stacks;
struct symbols;

MUST_USE struct stacks *stacks_new(void);
void stacks_free(struct stacks *s);
AUTO_PTR(stacks)

/* A derived field for each stack of `base` and each place in the kernel (KIND("address")), of the same name. `ret` has room for as many as `base` has
 * fields; returns how many. */
MUST_USE size_t stacks_fields(struct stacks *s, const struct schema *base, struct field *ret);
MUST_USE bool stacks_any(const struct stacks *s, bool labels);
MUST_USE struct symbols *stacks_symbols(struct stacks *s);
void stacks_kept_by(struct stacks *s, enrich_kept_fn *fn, void *ctx);
