/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folded stacks, a line each: "comm;outermost;...;innermost COUNT", the user's part before the kernel's.
 * Rows are summed by stack and written at the end. What flamegraph.pl, speedscope and inferno read.
 * Where no fields are named, the stacks that text shows are folded, or, if it shows none, the hidden ones.
 */
#include "sink/sinks.h"

#include <errno.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/kind.h"
#include "schema/stack.h"
#include "sink/columns.h"
#include "sink/out.h"

enum { STACKS_MAX = 262144 }; /* different ones; the sum of the rest is a line of its own */

struct folded_schema {
	const struct schema *schema;
	const struct field *comm, *weight; /* may be NULL */
	vec(const struct field *) stacks;  /* the outermost part first */
};

struct folded_sink {
	struct sink sink;
	struct sink_options options;
	struct map sums; /* line -> uint64_t * */
	uint64_t rest;
	struct strbuf line, text, out;
	vec(struct folded_schema) schemas;
};

static struct folded_sink *folded_of(struct sink *s)
{
	return container_of(s, struct folded_sink, sink);
}

static int folded_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	struct folded_sink *fs = xnew(struct folded_sink);

	(void)e;
	fs->sink.ops = &sink_folded;
	fs->options = *options;
	*ret = &fs->sink;
	return 0;
}

static bool is_chosen(const struct folded_sink *fs, const struct field *f, bool hidden)
{
	if (f->kind->class != CLASS_STACK)
		return false;
	for (size_t i = 0; i < fs->options.field_count; i++)
		if (str_eq(fs->options.fields[i], f->name))
			return true;
	return !fs->options.field_count && !(f->flags & FIELD_HIDE) == !hidden;
}

/* The user's part first, whatever the order of the fields. `hidden`: which, if none is named. */
static void stacks_choose(const struct folded_sink *fs, struct folded_schema *bound, bool hidden)
{
	const struct schema *s = bound->schema;

	for (int kernel = 0; kernel < 2; kernel++)
		for (size_t i = 0; i < s->field_count; i++)
			if (is_chosen(fs, &s->fields[i], hidden) &&
			    str_eq(s->fields[i].kind->name, "kstack") == kernel)
				vec_push(&bound->stacks, &s->fields[i]);
}

static int weight_choose(const struct folded_sink *fs, struct folded_schema *bound, struct err *e)
{
	const char *name = fs->options.weight;

	if (!name)
		return 0;
	bound->weight = columns_field(bound->schema, name);
	if (!bound->weight)
		return fail_as(e, EXIT_USAGE, EINVAL, "--weight: %s has no field '%s'",
			       bound->schema->probe, name);
	if (bound->weight->kind->class != CLASS_NUMBER)
		return fail_as(e, EXIT_USAGE, EINVAL, "--weight: '%s' is no number", name);
	return 0;
}

static int folded_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	struct folded_sink *fs = folded_of(s);
	struct folded_schema *bound = vec_add(&fs->schemas);

	bound->schema = schema;
	bound->comm = schema_field(schema, "comm");
	stacks_choose(fs, bound, false);
	if (!bound->stacks.len && !fs->options.field_count)
		stacks_choose(fs, bound, true);
	if (bound->stacks.len)
		return weight_choose(fs, bound, e);
	if (!fs->options.one_probe)
		return 0; /* another one has */
	fail_as(e, EXIT_USAGE, EINVAL, "-o folded: %s has no stack to fold", schema->probe);
	return hint(e, "`sonda list %s` shows its fields", schema->probe);
}

static void append_folded(struct folded_sink *fs, const struct field *f, const struct row *r)
{
	struct value v = row_value(r, f);

	if (v.type == VALUE_NONE)
		return;
	strbuf_reset(&fs->text);
	value_text_form(&fs->text, f, v);
	if (fs->line.len && fs->text.len)
		strbuf_putc(&fs->line, ';');
	if (f->kind->class == CLASS_STACK)
		frames_fold(frames_all(strbuf_str(&fs->text), fs->text.len), &fs->line);
	else
		strbuf_append(&fs->line, strbuf_str(&fs->text), fs->text.len);
}

static uint64_t weight_of(const struct folded_schema *bound, const struct row *r)
{
	struct value v;

	if (!bound->weight)
		return 1;
	v = row_value(r, bound->weight);
	if (v.type == VALUE_DOUBLE)
		return v.dbl > 0 ? (uint64_t)v.dbl : 0;
	return v.type == VALUE_S64 && v.s64 < 0 ? 0 : v.u64;
}

static const struct folded_schema *folded_schema_of(const struct folded_sink *fs,
						    const struct schema *schema)
{
	for (size_t i = 0; i < fs->schemas.len; i++)
		if (fs->schemas.at[i].schema == schema)
			return &fs->schemas.at[i];
	return NULL;
}

static int folded_row(struct sink *s, const struct row *r, struct err *e)
{
	struct folded_sink *fs = folded_of(s);
	const struct folded_schema *bound = folded_schema_of(fs, r->schema);
	uint64_t *sum;

	(void)e;
	if (!bound || !bound->stacks.len)
		return 0;
	strbuf_reset(&fs->line);
	if (bound->comm)
		append_folded(fs, bound->comm, r);
	vec_for_each(f, &bound->stacks)
		append_folded(fs, *f, r);
	sum = map_get_bytes(&fs->sums, strbuf_str(&fs->line), fs->line.len);
	if (!sum && fs->sums.len < STACKS_MAX) {
		sum = xnew(uint64_t);
		map_put_bytes(&fs->sums, strbuf_str(&fs->line), fs->line.len, sum);
	}
	*(sum ?: &fs->rest) += weight_of(bound, r);
	return 0;
}

/* The closing line tells them: there is no place for them here. */
static int folded_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		       uint64_t at_ns, struct err *e)
{
	(void)s, (void)probe, (void)cause, (void)count, (void)at_ns, (void)e;
	return 0;
}

static int folded_flush(struct sink *s, struct err *e)
{
	(void)s, (void)e;
	return 0; /* sums are not done before the end */
}

static int by_line(const void *a, const void *b)
{
	const struct map_slot *const *x = a, *const *y = b;
	size_t len = min((size_t)(*x)->key, (size_t)(*y)->key);
	int order = memcmp((*x)->bytes, (*y)->bytes, len);

	return order ? order : (*x)->key < (*y)->key ? -1 : (*x)->key > (*y)->key;
}

static int folded_end(struct sink *s, const struct account *accounts, size_t count, struct err *e)
{
	struct folded_sink *fs = folded_of(s);
	vec(const struct map_slot *) lines = { 0 };

	(void)accounts, (void)count;
	map_for_each(slot, &fs->sums)
		vec_push(&lines, slot);
	vec_sort(&lines, by_line);
	vec_for_each(line, &lines) {
		strbuf_append(&fs->out, (*line)->bytes, (size_t)(*line)->key);
		strbuf_appendf(&fs->out, " %llu\n",
			       (unsigned long long)*(const uint64_t *)(*line)->value);
	}
	if (fs->rest)
		strbuf_appendf(&fs->out, "[other stacks] %llu\n", (unsigned long long)fs->rest);
	vec_done(&lines);
	return out_write(&fs->out, fs->options.fd, fs->options.cancel_fd, e);
}

static void folded_close(struct sink *s)
{
	struct folded_sink *fs = folded_of(s);

	vec_for_each(bound, &fs->schemas)
		vec_done(&bound->stacks);
	vec_done(&fs->schemas);
	map_done(&fs->sums, free);
	strbuf_done(&fs->line);
	strbuf_done(&fs->text);
	strbuf_done(&fs->out);
	free(fs);
}

const struct sink_ops sink_folded = {
	.name = "folded",
	.help = "stacks summed, a line each, for flame graphs",
	.open = folded_open,
	.bind = folded_bind,
	.row = folded_row,
	.loss = folded_loss,
	.flush = folded_flush,
	.end = folded_end,
	.close = folded_close,
};
