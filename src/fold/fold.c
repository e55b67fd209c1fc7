/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups of a metric table. The numbers of a group are one array of words: values, then the sums of
 * its histograms, then their slots; three such arrays hold now, the reading before, and the difference.
 */
#include "fold/group.h"

#include "base/err.h"
#include "base/str.h"
#include "schema/kind.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const struct field **fields_that(const struct schema *s, bool hists, size_t *ret_count)
{
	const struct field **list = xcalloc(s->field_count + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < s->field_count; i++)
		if ((s->fields[i].type == FIELD_HIST) == hists && s->fields[i].type != FIELD_RATIO)
			list[n++] = &s->fields[i];
	*ret_count = n;
	return list;
}

const struct field *fold_field(const struct field *fields, size_t count, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < count; i++)
		if (str_eq(fields[i].name, name))
			return &fields[i];
	for (size_t i = 0; i < count; i++) {
		const char *rest = str_after(fields[i].name, name);

		if (len && fields[i].unit[0] && rest && rest[0] == '_' && !strchr(rest + 1, '_'))
			return &fields[i];
	}
	return NULL;
}

static const char *label_nth(const void *ctx, size_t i)
{
	const struct schema *s = ctx;

	return i < s->field_count ? s->fields[i].name : NULL;
}

static int label_named(const struct schema *s, const char *name, const struct field **ret,
		       struct err *e)
{
	const struct field *f = fold_field(s->fields, s->field_count, name);

	if (!f)
		return name_unknown("label", name, label_nth, s, e);
	*ret = f;
	return 0;
}

static bool is_among(const struct field *const *list, size_t count, const struct field *f)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == f)
			return true;
	return false;
}

/* Returns how many there are with the notes. */
static size_t notes_add(const struct fold_options *o, const struct field **list, size_t keys)
{
	size_t n = keys;

	for (size_t i = 0; o->note && i < keys; i++) {
		const char *name = o->note(o->labels, list[i]);
		const struct field *f = name ? schema_field(o->labels, name) : NULL;

		if (f && !is_among(list, n, f))
			list[n++] = f;
	}
	return n;
}

static int labels_choose(struct fold *f, const struct fold_options *o, struct err *e)
{
	const struct field **list =
		xcalloc(2 * (o->labels->field_count + o->by_count) + 1, sizeof(*list));
	size_t n = 0;

	f->columns.labels = list;
	for (size_t i = 0; o->by && i < o->by_count; i++)
		if (label_named(o->labels, o->by[i], &list[n++], e) < 0)
			return -e->code;
	for (size_t i = 0; !o->by && i < o->labels->field_count; i++)
		if (!(o->labels->fields[i].flags & FIELD_HIDE))
			list[n++] = &o->labels->fields[i];
	f->columns.key_count = n;
	f->columns.label_count = notes_add(o, list, n);
	return 0;
}

/* Which value lies there; the number of values: none, in a view of some of them. */
static size_t value_at(const struct fold_columns *c, uint32_t offset)
{
	size_t i = 0;

	while (i < c->value_count && c->values[i]->offset != offset)
		i++;
	return i;
}

static void ratios_choose(struct fold *f, const struct schema *values)
{
	struct fold_columns *c = &f->columns;
	struct fold_ratio *list = xcalloc(values->field_count + 1, sizeof(*list));

	c->ratios = list;
	for (size_t i = 0; i < values->field_count; i++) {
		const struct field *field = &values->fields[i];
		struct fold_ratio ratio = { .field = field,
					    .part = value_at(c, field->ratio.part),
					    .whole = value_at(c, field->ratio.whole) };

		if (field->type == FIELD_RATIO && ratio.part < c->value_count &&
		    ratio.whole < c->value_count)
			list[c->ratio_count++] = ratio;
	}
}

struct value fold_ratio_value(const struct fold *f, const struct fold_row *row, size_t nth,
			      bool total)
{
	const struct fold_ratio *ratio = &f->columns.ratios[nth];
	const uint64_t *words = total ? row->totals : row->deltas;

	assert(nth < f->columns.ratio_count);
	return ratio_value(&ratio->field->ratio, words[ratio->part], words[ratio->whole]);
}

static void words_lay_out(struct fold *f)
{
	struct fold_columns *c = &f->columns;

	f->slots_at = xcalloc(c->hist_count + 1, sizeof(*f->slots_at));
	f->words = c->value_count + c->hist_count;
	for (size_t i = 0; i < c->hist_count; i++) {
		f->slots_at[i] = f->words;
		f->words += c->hists[i]->count;
	}
}

int fold_new(const struct fold_options *o, struct fold **ret, struct err *e)
{
	auto_ptr(fold) f = xnew(struct fold);

	assert(o->labels && o->values);
	f->labels = o->labels;
	f->values = o->values;
	if (labels_choose(f, o, e) < 0)
		return -e->code;
	f->columns.values = fields_that(o->values, false, &f->columns.value_count);
	f->columns.hists = fields_that(o->values, true, &f->columns.hist_count);
	ratios_choose(f, o->values);
	words_lay_out(f);
	*ret = TAKE_PTR(f);
	return 0;
}

void fold_free(struct fold *f)
{
	if (!f)
		return;
	free((void *)(uintptr_t)f->columns.labels);
	free((void *)(uintptr_t)f->columns.values);
	free((void *)(uintptr_t)f->columns.hists);
	free((void *)(uintptr_t)f->columns.ratios);
	free(f->slots_at);
	map_done(&f->by_key, NULL);
	vec_done(&f->groups);
	free(f->sorted);
	strbuf_done(&f->key);
	arena_done(&f->arena);
	free(f);
}

const struct fold_columns *fold_columns(const struct fold *f)
{
	return &f->columns;
}

uint64_t fold_at_ns(const struct fold *f)
{
	return f->at_ns;
}

uint64_t fold_interval_ns(const struct fold *f)
{
	return f->readings > 1 ? f->at_ns - f->before_ns : 0;
}

uint64_t fold_whole_ns(const struct fold *f)
{
	return f->at_ns - f->first_ns;
}

/* What the labels' values are, told apart by type and length. */
static void key_value(struct strbuf *key, const struct value *v)
{
	strbuf_putc(key, (char)v->type);
	switch (v->type) {
	case VALUE_NONE:
	case VALUE_LIST: /* see below: as bytes */
		break;
	case VALUE_U64:
	case VALUE_S64:
	case VALUE_DOUBLE:
		strbuf_append(key, (const char *)&v->u64, sizeof(v->u64));
		break;
	case VALUE_BOOL:
		strbuf_putc(key, v->boolean);
		break;
	case VALUE_IP:
		strbuf_append(key, (const char *)&v->ip, sizeof(v->ip));
		break;
	case VALUE_TEXT:
		strbuf_append(key, (const char *)&v->text.len, sizeof(v->text.len));
		strbuf_append(key, v->text.s, v->text.len);
		break;
	case VALUE_BYTES:
		strbuf_append(key, (const char *)v->bytes.at, v->bytes.len);
		break;
	}
}

static size_t list_bytes(const struct field *f, const struct value *v)
{
	return (size_t)v->list.count * f->element_size;
}

/* The value with what it points at copied, so that it outlives the row. */
static struct value value_keep(struct arena *a, const struct field *f, struct value v)
{
	if (v.type == VALUE_TEXT)
		v.text.s = arena_memdup(a, v.text.s, v.text.len);
	else if (v.type == VALUE_BYTES)
		v.bytes.at = (const unsigned char *)arena_memdup(a, v.bytes.at, v.bytes.len);
	else if (v.type == VALUE_LIST)
		v.list.at = (const unsigned char *)arena_memdup(a, v.list.at, list_bytes(f, &v));
	return v;
}

static struct group *group_new(struct fold *f, bool is_other)
{
	struct group *g = arena_new(&f->arena, struct group);
	const struct fold_columns *c = &f->columns;
	struct value *labels = arena_alloc(&f->arena, (c->label_count + 1) * sizeof(*labels));
	const uint64_t **slots = arena_alloc(&f->arena, (2 * c->hist_count + 1) * sizeof(*slots));

	g->labels = labels;
	g->now = arena_alloc(&f->arena, (3 * f->words + 1) * sizeof(*g->now));
	g->before = g->now + f->words;
	g->added = g->before + f->words;
	for (size_t i = 0; i < c->hist_count; i++) {
		slots[i] = g->added + f->slots_at[i];
		slots[c->hist_count + i] = g->now + f->slots_at[i];
	}
	g->row = (struct fold_row){ .labels = labels,
				    .totals = g->now,
				    .deltas = g->added,
				    .slots = slots,
				    .slots_total = slots + c->hist_count,
				    .sums = g->added + c->value_count,
				    .sums_total = g->now + c->value_count,
				    .is_other = is_other };
	return g;
}

static struct group *group_add(struct fold *f, bool is_other)
{
	struct group *g = group_new(f, is_other);

	vec_push(&f->groups, g);
	return g;
}

static bool all_ones(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0xff)
			return false;
	return len > 0;
}

/* Values are worked out one after the other: those that enrichers derive may share a buffer. */
static struct group *group_of(struct fold *f, const struct row *key)
{
	const struct fold_columns *c = &f->columns;
	struct group *g;

	if (all_ones(key->bytes, key->size)) {
		if (!f->other)
			f->other = group_add(f, true);
		return f->other;
	}
	strbuf_reset(&f->key);
	for (size_t i = 0; i < c->key_count; i++) {
		struct value v = row_value(key, c->labels[i]);

		key_value(&f->key, &v);
		if (v.type == VALUE_LIST)
			strbuf_append(&f->key, (const char *)v.list.at,
				      list_bytes(c->labels[i], &v));
	}
	g = map_get_bytes(&f->by_key, strbuf_str(&f->key), f->key.len);
	if (g)
		return g;
	g = group_add(f, false);
	for (size_t i = 0; i < c->label_count; i++)
		g->labels[i] = value_keep(&f->arena, c->labels[i], row_value(key, c->labels[i]));
	map_put_bytes(&f->by_key, strbuf_str(&f->key), f->key.len, g);
	return g;
}

void fold_begin(struct fold *f, uint64_t at_ns)
{
	assert(!f->reading);
	f->reading = true;
	f->before_ns = f->at_ns;
	f->at_ns = at_ns;
	if (!f->readings++)
		f->first_ns = at_ns;
	vec_for_each(g, &f->groups) {
		memcpy((*g)->before, (*g)->now, f->words * sizeof(uint64_t));
		memset((*g)->now, 0, f->words * sizeof(uint64_t));
	}
}

static void group_add_hist(struct fold *f, struct group *g, size_t nth, const struct row *values)
{
	const struct field *hist = f->columns.hists[nth];
	uint64_t *to = g->now + f->slots_at[nth], n;

	if (hist->offset > values->size || hist->size > values->size - hist->offset ||
	    hist->size < ((uint64_t)hist->count + 1) * sizeof(n))
		return;
	memcpy(&n, values->bytes + hist->offset, sizeof(n));
	g->now[f->columns.value_count + nth] += n;
	for (uint32_t i = 0; i < hist->count; i++) {
		memcpy(&n, values->bytes + hist->offset + (i + 1) * sizeof(n), sizeof(n));
		to[i] += n;
	}
}

/* Levels add up (memory in use), shares and times (a round trip) don't: of several the greatest counts. */
static void value_merge(const struct field *f, uint64_t *to, uint64_t n)
{
	if (f->flags & FIELD_GAUGE &&
	    (str_eq(f->kind->name, "percent") || str_eq(f->kind->name, "duration")))
		*to = max(*to, n);
	else
		*to += n;
}

void fold_add(struct fold *f, const void *key, const void *value)
{
	struct row labels = { .schema = f->labels, .bytes = key, .size = f->labels->size };
	struct row values = { .schema = f->values, .bytes = value, .size = f->values->size };
	struct group *g;

	assert(f->reading);
	labels.at_ns = values.at_ns = f->at_ns;
	g = group_of(f, &labels);
	for (size_t i = 0; i < f->columns.value_count; i++)
		value_merge(f->columns.values[i], &g->now[i],
			    row_value(&values, f->columns.values[i]).u64);
	for (size_t i = 0; i < f->columns.hist_count; i++)
		group_add_hist(f, g, i, &values);
}

/* A counter that went down began anew: its row was taken away and made again. */
static uint64_t added_since(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

void fold_end(struct fold *f)
{
	assert(f->reading);
	f->reading = false;
	vec_for_each(each, &f->groups) {
		struct group *g = *each;

		for (size_t i = 0; i < f->words; i++)
			g->added[i] = added_since(g->now[i], g->before[i]);
		for (size_t i = 0; i < f->columns.value_count; i++)
			if (f->columns.values[i]->flags & FIELD_GAUGE)
				g->added[i] = g->now[i];
	}
}

const struct fold_row *fold_total(struct fold *f, const struct fold_order *order)
{
	if (!f->total)
		f->total = group_new(f, false);
	memset(f->total->now, 0, f->words * sizeof(uint64_t));
	memset(f->total->added, 0, f->words * sizeof(uint64_t));
	vec_for_each(g, &f->groups) {
		const struct fold_row *row = &(*g)->row;

		if (order->keep && !row->is_other && !order->keep(row, order->ctx))
			continue;
		for (size_t i = 0; i < f->columns.value_count; i++) {
			value_merge(f->columns.values[i], &f->total->now[i], (*g)->now[i]);
			value_merge(f->columns.values[i], &f->total->added[i], (*g)->added[i]);
		}
		for (size_t i = f->columns.value_count; i < f->words; i++) {
			f->total->now[i] += (*g)->now[i];
			f->total->added[i] += (*g)->added[i];
		}
	}
	return &f->total->row;
}
