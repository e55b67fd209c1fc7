/* SPDX-License-Identifier: BSD-2-Clause */
/* Metric tables: labels without holes, counters and gauges of 8 bytes, histograms. */
#include "schema/declare.h"

#include <errno.h>

#include <linux/bpf.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "schema/kind.h"

/* "linear LOW STEP" */
static int linear_shape(struct declarer *d, const char *tag, struct field *f, struct err *e)
{
	int64_t low, step;

	(void)d;
	if (!declare_number(&tag, &low) || !declare_number(&tag, &step) || *tag || low < 0 ||
	    step <= 0)
		return fail(e, EINVAL, "HIST_LINEAR: low and step are numbers, step above 0");
	f->hist.low = (uint64_t)low;
	f->hist.step = (uint64_t)step;
	return 0;
}

static int log2_shape(struct declarer *d, const char *tag, struct field *f, struct err *e)
{
	(void)d, (void)tag;
	if (f->count > 65)
		return fail(e, EINVAL, "HIST_LOG2: %u slots, but 65 hold every number", f->count);
	return 0;
}

/* "bounds NAME": the numbers are in .rodata, in a variable bounds_NAME. */
static int bounds_shape(struct declarer *d, const char *tag, struct field *f, struct err *e)
{
	struct object_var var;
	uint64_t *bounds;
	char name[80];

	if (!str_format(name, sizeof(name), "bounds_%s", tag) ||
	    !object_var_find(d->object, name, &var))
		return fail(e, EINVAL, "HIST_BOUNDS: there is no BOUNDS(%s, ...)", tag);
	if (var.size != (f->count - 1) * sizeof(*bounds))
		return fail(e, EINVAL, "HIST_BOUNDS: %u slots need %u bounds, but '%s' has %zu",
			    f->count, f->count - 1, tag, var.size / sizeof(*bounds));
	bounds = arena_alloc(d->arena, var.size + 1);
	memcpy(bounds, var.bytes, var.size);
	for (uint32_t i = 1; i + 1 < f->count; i++)
		if (bounds[i] <= bounds[i - 1])
			return fail(e, EINVAL, "BOUNDS(%s, ...): bounds must rise", tag);
	f->hist.bounds = bounds;
	return 0;
}

/* struct { u64 sum; u64 slots[n]; } */
static bool hist_layout(struct declarer *d, const struct type *s, uint32_t *ret_slots)
{
	struct type_member sum, slots;
	struct type array, element;

	if (!types_member(d->types, s, 0, &sum) || !types_member(d->types, s, 1, &slots) ||
	    !types_get_resolved(d->types, slots.type, &array) || array.kind != TYPE_ARRAY ||
	    !types_get_resolved(d->types, array.target, &element))
		return false;
	*ret_slots = array.count;
	return s->count == 2 && sum.offset_bits == 0 && slots.offset_bits == 64 &&
	       types_size(d->types, sum.type) == 8 && element.kind == TYPE_INT &&
	       element.size == 8 && array.count >= 2 && array.count <= SLOTS_MAX &&
	       s->size == 8 * (array.count + 1);
}

int declare_hist(struct declarer *d, const char *tag, const struct type *s, struct field *f,
		 struct err *e)
{
	static const struct {
		const char *word;
		enum hist_scale scale;
		int (*shape)(struct declarer *, const char *, struct field *, struct err *);
	} row[] = {
		{ "log2", HIST_LOG2, log2_shape },
		{ "linear", HIST_LINEAR, linear_shape },
		{ "bounds", HIST_BOUNDS, bounds_shape },
	};
	size_t len = strcspn(tag, " ");

	if (!hist_layout(d, s, &f->count))
		return fail(e, EINVAL, "a histogram is a u64 sum and u64 slots[2 to %d]",
			    SLOTS_MAX);
	f->type = FIELD_HIST;
	f->size = s->size;
	f->hist.slots = f->count;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (strlen(row[i].word) != len || strncmp(tag, row[i].word, len) != 0)
			continue;
		f->hist.scale = row[i].scale;
		return row[i].shape(d, tag + len + (tag[len] == ' '), f, e);
	}
	return fail(e, EINVAL, "unknown histogram '%s' (log2 linear bounds)", tag);
}

/* Which bits of the labels members take. */
struct cover {
	unsigned char bits[LABELS_MAX * 8]; /* one each */
	uint32_t count;
	unsigned members_left; /* that are still looked at */
};

static void cover_mark(struct cover *c, uint64_t from, uint64_t count)
{
	for (uint64_t i = from; i < from + count && i < c->count; i++)
		c->bits[i] = 1;
}

static void cover_struct(struct declarer *d, struct cover *c, const struct type *s, uint64_t base,
			 unsigned depth)
{
	struct type_member m;
	struct type t;

	for (uint32_t i = 0; c->members_left && types_member(d->types, s, i, &m); i++) {
		c->members_left--;
		if (types_get_resolved(d->types, m.type, &t) && t.kind == TYPE_STRUCT &&
		    depth < NESTED_MAX)
			cover_struct(d, c, &t, base + m.offset_bits, depth + 1);
		else
			cover_mark(c, base + m.offset_bits,
				   m.bits ? m.bits : 8ull * types_size(d->types, m.type));
	}
}

/* Bytes that no member owns hold garbage, and make two rows of one. */
static int holes_refuse(struct declarer *d, const struct schema *s, struct err *e)
{
	const char *before = "the beginning";
	struct cover c = { .count = s->size * 8, .members_left = MEMBERS_MAX };
	struct type t;
	uint32_t end = 0, bit = 0;

	if (s->size > LABELS_MAX)
		return fail(e, EINVAL, "labels take %u bytes, at most %d", s->size, LABELS_MAX);
	if (!types_get_resolved(d->types, s->type_id, &t) || t.kind != TYPE_STRUCT)
		return 0;
	cover_struct(d, &c, &t, 0, 0);
	while (bit < c.count && c.bits[bit])
		bit++;
	if (bit == c.count)
		return 0;
	for (size_t i = 0; i < s->field_count; i++) {
		const struct field *f = &s->fields[i];

		if (f->offset * 8 < bit && f->offset + f->size >= end) {
			end = f->offset + f->size;
			before = f->name;
		}
	}
	fail(e, EINVAL, "the labels have a hole after '%s' (at byte %u)", before, bit / 8);
	return hint(e, "add a member 'pad' there, so that it is zeroed");
}

static int label_check(const struct field *f, struct err *e)
{
	if (f->flags & (FIELD_COUNTER | FIELD_GAUGE))
		return fail(e, EINVAL, "'%s': a label is neither COUNTER nor GAUGE", f->name);
	return 0;
}

/* The probe adds to it as a u64, and copies of CPUs are summed as such. What nobody has declared may be anything:
 * it is shown as it is. */
static int value_check(const struct declarer *d, struct field *f, struct err *e)
{
	if (!object_probe_var(d->object))
		f->flags |= FIELD_GAUGE;

	if (f->type == FIELD_HIST)
		return 0;
	if (f->type != FIELD_INT || f->size != 8 || f->bits || f->offset % 8)
		return fail(e, EINVAL, "'%s': counters and gauges are u64", f->name);
	if (!(f->flags & FIELD_GAUGE))
		f->flags |= FIELD_COUNTER;
	return 0;
}

/* A number alone, as maps of objects that declare nothing have it. */
static int declare_number_alone(struct declarer *d, uint32_t id, const char *name,
				struct schema *ret, struct err *e)
{
	struct field f = { .name = name, .doc = "", .unit = "" };

	if (declare_field(d, 0, -1, id, &f, e) < 0)
		return -e->code;
	*ret = (struct schema){ .probe = d->probe,
				.name = name,
				.doc = "",
				.type_id = id,
				.size = f.size,
				.fields =
					(const struct field *)arena_memdup(d->arena, &f, sizeof(f)),
				.field_count = 1 };
	return 0;
}

static int table_side(struct declarer *d, uint32_t id, enum struct_use use, struct schema *ret,
		      struct err *e)
{
	struct type t;

	if (object_probe_var(d->object) || !types_get_resolved(d->types, id, &t) ||
	    t.kind == TYPE_STRUCT)
		return declare_struct(d, id, use, ret, e);
	return declare_number_alone(d, id, use == USE_LABELS ? "key" : "value", ret, e);
}

static int table_structs(struct declarer *d, const struct object_map *m, struct metric_table *t,
			 struct err *e)
{
	if (table_side(d, m->key_type, USE_LABELS, &t->labels, e) < 0)
		return wrap(e, "labels");
	if (table_side(d, m->value_type, USE_VALUES, &t->values, e) < 0)
		return wrap(e, "values");
	if (t->labels.size != m->key_size || t->values.size != m->value_size)
		return fail(e, EINVAL, "its key and value have other sizes than the map");
	t->labels.type_id = types_resolve(d->types, m->key_type);
	t->labels.doc = t->values.doc = t->doc;
	for (size_t i = 0; i < t->labels.field_count; i++)
		if (label_check(&t->labels.fields[i], e) < 0)
			return -e->code;
	/* made by declare_struct() just now, so ours to write */
	for (size_t i = 0; i < t->values.field_count; i++)
		if (value_check(d, (struct field *)(uintptr_t)&t->values.fields[i], e) < 0)
			return -e->code;
	return holes_refuse(d, &t->labels, e);
}

static bool is_hash(uint32_t map_type)
{
	return map_type == BPF_MAP_TYPE_HASH || map_type == BPF_MAP_TYPE_PERCPU_HASH ||
	       map_type == BPF_MAP_TYPE_LRU_HASH || map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static int table_read(struct declarer *d, const struct object_map *m, struct metric_table *t,
		      struct err *e)
{
	t->name = arena_strdup(d->arena, m->name);
	/* in a declared one a row is kept for the rest */
	t->max_rows = m->max_entries + !object_probe_var(d->object);
	t->per_cpu = m->per_cpu;
	if (!is_hash(m->type))
		return fail(e, EINVAL, "a metric table is a hash map");
	if (declare_text(d, m->var, -1, "doc", &t->doc, e) < 0)
		return -e->code;
	return table_structs(d, m, t, e);
}

/* Is the map a table? In an object that declares nothing, each that can be read like one. */
static bool is_table(struct declarer *d, const struct object_map *m)
{
	struct metric_table unused = { 0 };
	struct err why;

	if (m->var && types_tag(d->types, m->var, -1, "metrics", 0))
		return true;
	return !object_probe_var(d->object) && !m->internal && m->key_type && m->value_type &&
	       table_read(d, m, &unused, &why) == 0;
}

int declare_tables(struct declarer *d, struct declaration *to, struct err *e)
{
	size_t maps = object_map_count(d->object);
	vec(struct metric_table) list = { 0 };
	struct object_map m;
	int err = 0;

	for (size_t i = 0; i < maps && !err; i++) {
		struct metric_table t = { 0 };

		object_map(d->object, i, &m);
		if (!is_table(d, &m))
			continue;
		err = list.len < SCHEMAS_MAX ? table_read(d, &m, &t, e)
					     : fail(e, EINVAL, "more than %d", SCHEMAS_MAX);
		if (err)
			wrap(e, "table '%s'", m.name);
		vec_push(&list, t);
	}
	if (!err)
		err = declare_ratios(d, list.at, list.len, e);
	to->tables = (const struct metric_table *)arena_memdup(d->arena, list.at,
							       list.len * sizeof(*list.at));
	to->table_count = list.len;
	vec_done(&list);
	return err;
}
