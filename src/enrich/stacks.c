/* SPDX-License-Identifier: BSD-2-Clause */
/* Derived fields of stacks. */
#include "enrich/stacks.h"

#include <string.h>

#include "base/lru.h"
#include "base/str.h"
#include "base/vec.h"
#include "schema/kind.h"
#include "symbols/symbols.h"

#define TEXTS_MAX 16384 /* stacks that labels stand for, whose names are remembered */

struct stack_field {
	struct stacks *stacks;
	struct field own; /* the one that is replaced */
};

struct stacks {
	struct symbols *symbols;
	struct strbuf text; /* of the value given last */
	struct lru *texts;  /* of labels, by number */
	vec(struct stack_field *) fields;
	enrich_kept_fn *kept;
	void *kept_ctx;
};

struct stacks *stacks_new(void)
{
	return xnew(struct stacks);
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	vec_for_each(f, &s->fields)
		free(*f);
	vec_done(&s->fields);
	lru_free(s->texts);
	symbols_free(s->symbols);
	strbuf_done(&s->text);
	free(s);
}

struct symbols *stacks_symbols(struct stacks *s)
{
	if (!s->symbols)
		s->symbols = symbols_new();
	return s->symbols;
}

void stacks_kept_by(struct stacks *s, enrich_kept_fn *fn, void *ctx)
{
	s->kept = fn;
	s->kept_ctx = ctx;
}

static struct value derive_stack(const struct field *f, const struct row *r, void *ctx)
{
	const struct stack_field *sf = ctx;
	struct stacks *s = sf->stacks;
	struct value v = row_value(r, &sf->own);
	struct stack_told told = { .at_ns = r->at_ns, .is_cut = v.cut };
	struct stack stack;

	(void)f;
	if (v.type != VALUE_LIST || !v.list.count)
		return value_none();
	memcpy(&stack, r->bytes + sf->own.offset, sizeof(stack));
	told.pid = stack.pid;
	told.frames = v.list.at;
	told.count = v.list.count;
	strbuf_reset(&s->text);
	symbols_stack(stacks_symbols(s), &told, true, &s->text);
	return value_text(strbuf_str(&s->text), (uint32_t)s->text.len);
}

/* Names without offsets, so that rows of the same functions are one group. NULL: there is no such
 * stack (any more). */
static const char *label_text(struct stacks *s, uint64_t id)
{
	struct stack_kept kept;
	struct stack_told told;

	if (!s->kept || !s->kept(id, &kept, s->kept_ctx))
		return NULL;
	told = (struct stack_told){ .pid = kept.pid,
				    .at_ns = kept.at_ns,
				    .frames = (const unsigned char *)kept.frames,
				    .count = min((kept.size & ~STACK_CUT) / 8,
						 (uint32_t)STACK_FRAMES),
				    .is_cut = kept.size & STACK_CUT };
	strbuf_reset(&s->text);
	symbols_stack(stacks_symbols(s), &told, false, &s->text);
	return strbuf_str(&s->text);
}

static struct value derive_label(const struct field *f, const struct row *r, void *ctx)
{
	const struct stack_field *sf = ctx;
	struct stacks *s = sf->stacks;
	struct value v = row_value(r, &sf->own);
	const char *text;

	(void)f;
	if (v.type != VALUE_U64)
		return value_none();
	if (!s->texts)
		s->texts = lru_new(TEXTS_MAX, free);
	text = lru_get(s->texts, v.u64);
	if (!text && (text = label_text(s, v.u64)))
		lru_put(s->texts, v.u64, xstrdup(text));
	return text ? value_text(text, (uint32_t)strlen(text)) : value_none();
}

/* A place in the kernel: the function that it is in. */
static struct value derive_place(const struct field *f, const struct row *r, void *ctx)
{
	const struct stack_field *sf = ctx;
	struct stacks *s = sf->stacks;
	struct value v = row_value(r, &sf->own);
	struct stack_told told = { .at_ns = r->at_ns,
				   .frames = (const unsigned char *)&v.u64,
				   .count = 1 };

	(void)f;
	if (v.type != VALUE_U64 || !v.u64)
		return value_none();
	strbuf_reset(&s->text);
	symbols_stack(stacks_symbols(s), &told, false, &s->text);
	return value_text(strbuf_str(&s->text), (uint32_t)s->text.len);
}

static derive_fn *derivation_of(const struct field *f)
{
	if (f->type == FIELD_STACK)
		return derive_stack;
	if (f->type == FIELD_STACK_ID)
		return derive_label;
	return f->type == FIELD_INT && str_eq(f->kind->name, "address") ? derive_place : NULL;
}

size_t stacks_fields(struct stacks *s, const struct schema *base, struct field *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < base->field_count; i++) {
		const struct field *f = &base->fields[i];
		struct stack_field *own;
		derive_fn *derive = derivation_of(f);

		if (!derive)
			continue;
		own = xnew(struct stack_field);
		own->stacks = s;
		own->own = *f;
		vec_push(&s->fields, own);
		ret[count] = *f;
		ret[count].type = FIELD_DERIVED;
		if (derive == derive_place)
			ret[count].kind = kind_find("str");
		ret[count].derive = derive;
		ret[count++].derive_ctx = own;
	}
	return count;
}

bool stacks_any(const struct stacks *s, bool labels)
{
	vec_for_each(f, &s->fields)
		if ((*f)->own.type == (labels ? FIELD_STACK_ID : FIELD_STACK))
			return true;
	return false;
}
