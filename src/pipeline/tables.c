/* SPDX-License-Identifier: BSD-2-Clause */
/* Metric tables of a session: found, masked, read. */
#include "pipeline/tables.h"

#include "base/err.h"
#include "base/str.h"
#include "bpf/maptable.h"
#include "bpf/object.h"
#include "enrich/enrich.h"
#include "pipeline/session.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct table_reader {
	const struct watched *watched;
	const struct metric_table *table;
	struct schema labels; /* extended by the enrichers, without what needs processes */
	struct schema both;   /* labels, then values, as --where sees them */
	struct filter_bound *where;
	struct fold *fold;
	struct maptable *map;
	struct maptable *front; /* NULL: it has none */
	uint32_t front_rows;
	unsigned char *row; /* of `both` */
	uint32_t rows;
};

static const char *table_nth(const void *ctx, size_t i)
{
	const struct declaration *d = ctx;

	return i < d->table_count ? d->tables[i].name : NULL;
}

int tables_find(const struct probe *p, const char *name, const struct metric_table **ret,
		struct err *e)
{
	const struct declaration *d = p->decl;
	const char *near;

	if (!d->table_count)
		return probe_lacks(p, "metric tables", e);
	for (size_t i = 0; i < d->table_count; i++)
		if (!name || str_eq(d->tables[i].name, name)) {
			*ret = &d->tables[i];
			return 0;
		}
	near = suggest_from(name, table_nth, d) ?: d->tables[0].name;
	return fail_as(e, EXIT_USAGE, EINVAL, "%s has no table '%s' (did you mean '%s'?)", d->name,
		       name, near);
}

/* Labels, and what enrichers make of them alone: user, unit, comm ... */
static void reader_labels(struct table_reader *r, const struct session *s)
{
	r->labels = *(s->enrich ? enrich_labels(s->enrich, &r->table->labels) : &r->table->labels);
}

static const char *label_note(const struct schema *labels, const struct field *label)
{
	bool replaces;
	const char *name = enrich_label_note(label, &replaces);
	const struct field *f = name ? schema_field(labels, name) : NULL;

	return f && f->type == FIELD_DERIVED ? name : NULL;
}

/* The same where the command's name is there already. */
static const char *label_note_beside_comm(const struct schema *labels, const struct field *label)
{
	return str_eq(label->name, "pid") ? NULL : label_note(labels, label);
}

static bool groups_by_comm(const struct table_asked *asked)
{
	const struct field *comm = schema_field(&asked->table->labels, "comm");

	for (size_t i = 0; asked->by && i < asked->by_count; i++)
		if (str_eq(asked->by[i], "comm"))
			return true;
	return !asked->by && comm && !(comm->flags & FIELD_HIDE);
}

static void reader_both(struct table_reader *r)
{
	const struct schema *labels = &r->labels, *values = &r->table->values;
	size_t count = labels->field_count + values->field_count;
	struct field *fields = xcalloc(count + 1, sizeof(*fields));

	memcpy(fields, labels->fields, labels->field_count * sizeof(*fields));
	for (size_t i = 0; i < values->field_count; i++) {
		struct field *f = &fields[labels->field_count + i];

		*f = values->fields[i];
		f->offset += labels->size;
		f->ratio.part += labels->size;
		f->ratio.whole += labels->size;
	}
	r->both = *labels;
	r->both.fields = fields;
	r->both.field_count = count;
	r->both.size = labels->size + values->size;
	r->row = xcalloc(1, r->both.size + 1);
}

static uint64_t member_bit(const struct field *f)
{
	return f && f->member < 64 ? 1ULL << f->member : 0;
}

/* Members that are needed: those grouped by, and those that the condition speaks of. */
static uint64_t members_needed(const struct table_reader *r, const struct session *s)
{
	const struct filter *where = r->watched->where ?: s->where;
	const struct fold_columns *c = fold_columns(r->fold);
	const char *name;
	uint64_t needed = 0;

	for (size_t i = 0; i < c->label_count; i++)
		needed |= member_bit(c->labels[i]);
	for (size_t i = 0; where && (name = filter_field(where, i)); i++)
		needed |= member_bit(fold_field(r->labels.fields, r->labels.field_count, name));
	return needed;
}

static int table_mask(const struct table_reader *r, const char *table, uint64_t without,
		      struct err *e)
{
	auto_free char *name = xasprintf("sonda_without_%s", table);
	struct object *o = r->watched->probe->object;
	struct object_var var;

	if (!object_var_find(o, name, &var)) /* not written with METRICS: it counts by all */
		return 0;
	return object_var_set_u64(o, name, without, e);
}

#define TABLE_READ (1ULL << 63) /* unset: see table_wanted() of the probe language */

static int reader_mask(struct table_reader *r, const struct session *s, struct err *e)
{
	const struct declaration *d = r->watched->probe->decl;
	int err = 0;

	for (size_t i = 0; !err && i < d->table_count; i++)
		if (&d->tables[i] != r->table)
			err = table_mask(r, d->tables[i].name, ~0ULL, e);
	return err ? err : table_mask(r, r->table->name, ~(members_needed(r, s) | TABLE_READ), e);
}

const struct field *table_label(const struct session *s, const struct table_asked *asked,
				const char *name)
{
	const struct schema *labels = &asked->table->labels;

	if (s->enrich)
		labels = enrich_labels(s->enrich, labels);
	return fold_field(labels->fields, labels->field_count, name);
}

int table_reader_new(struct session *s, const struct table_asked *asked, struct table_reader **ret,
		     struct err *e)
{
	auto_ptr(table_reader) r = xnew(struct table_reader);
	struct fold_options options = { .by = asked->by,
					.by_count = asked->by_count,
					.note = groups_by_comm(asked) ? label_note_beside_comm
								      : label_note };

	assert(s->ready && asked->table);
	r->watched = &s->probes.at[asked->probe];
	r->table = asked->table;
	reader_labels(r, s);
	reader_both(r);
	options.labels = &r->labels;
	options.values = asked->values ?: &r->table->values;
	if (fold_new(&options, &r->fold, e) < 0)
		return wrap(e, "%s", r->watched->probe->name);
	if (session_condition(s, r->watched, &r->both, &r->where, e) < 0)
		return -e->code;
	if (reader_mask(r, s, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(r);
	return 0;
}

void table_reader_free(struct table_reader *r)
{
	if (!r)
		return;
	fold_free(r->fold);
	filter_bound_free(r->where);
	maptable_free(r->map);
	maptable_free(r->front);
	free((void *)(uintptr_t)r->both.fields);
	free(r->row);
	free(r);
}

/* An element of a front: FRONT() of the probe language. */
struct front_head {
	uint64_t id; /* 0: no row yet */
	uint64_t claims;
};

static int front_open(struct table_reader *r, struct err *e)
{
	auto_free char *name = xasprintf("front_%s", r->table->name);
	const struct object *o = r->watched->probe->object;
	struct object_map told;

	if (!object_map_find(o, name, &told))
		return 0;
	if (told.value_size != sizeof(struct front_head) + r->labels.size + r->table->values.size)
		return fail(e, EINVAL, "'%s' has other sizes than its table", name);
	r->front_rows = told.max_entries;
	return maptable_new(o, name, &r->front, e);
}

int table_reader_open(struct table_reader *r, struct err *e)
{
	int err = maptable_new(r->watched->probe->object, r->table->name, &r->map, e);

	if (err)
		return err;
	if (maptable_key_size(r->map) != r->labels.size ||
	    maptable_value_size(r->map) != r->table->values.size)
		return fail(e, EINVAL, "table '%s' has other sizes than declared", r->table->name);
	return front_open(r, e);
}

static bool is_other(const unsigned char *key, size_t len)
{
	return key[0] == 0xff && !memcmp(key, key + 1, len - 1);
}

static int on_row(const void *key, const void *value, void *ctx)
{
	struct table_reader *r = ctx;
	struct row row = { .schema = &r->both, .bytes = r->row, .size = r->both.size };

	if (is_other(key, r->labels.size)) {
		fold_add(r->fold, key, value); /* whatever is in it can't be told apart */
		return 0;
	}
	r->rows++;
	memcpy(r->row, key, r->labels.size);
	memcpy(r->row + r->labels.size, value, r->table->values.size);
	if (!r->where || filter_matches(r->where, &row))
		fold_add(r->fold, key, value);
	return 0;
}

static int on_front(const void *key, const void *value, void *ctx)
{
	const struct table_reader *r = ctx;
	const struct front_head *head = value;
	const unsigned char *labels = (const unsigned char *)(head + 1);

	(void)key;
	return head->id ? on_row(labels, labels + r->labels.size, ctx) : 0;
}

int table_reader_read(struct table_reader *r, uint64_t at_ns, struct err *e)
{
	int err;

	r->rows = 0;
	fold_begin(r->fold, at_ns);
	err = maptable_read(r->map, on_row, r, e);
	if (!err && r->front)
		err = maptable_read(r->front, on_front, r, e);
	fold_end(r->fold);
	return err;
}

struct fold *table_reader_fold(const struct table_reader *r)
{
	return r->fold;
}

uint32_t table_reader_rows(const struct table_reader *r)
{
	return r->rows;
}

uint32_t table_reader_rows_max(const struct table_reader *r)
{
	return r->table->max_rows - 1 + r->front_rows; /* one is the shared row's */
}
