/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for people: aligned columns with a header. Rows of one probe share one table; rows of several
 * probes have different columns, so each is a line of its own: time, probe, process, then what is
 * left as name=value.
 */
#include "sink/sinks.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/table.h"
#include "schema/kind.h"
#include "schema/stack.h"
#include "sink/columns.h"
#include "sink/out.h"

#include <assert.h>
#include <limits.h>
#include <sys/socket.h>

#define SETTLE_ROWS 1        /* a person waits for the first row */
#define NAME_COLS   16       /* the most that are kept free for names of an enum */
#define ALL_ROWS    UINT_MAX /* nobody waits for a part of a snapshot */

struct text_schema {
	const struct schema *schema;
	struct columns columns;
	struct columns stacks; /* each in lines of its own, below the row */
};

struct text_sink {
	struct sink sink;
	struct sink_options options;
	struct strbuf out, cell;
	struct table *table;
	vec(struct text_schema) schemas;
};

static struct text_sink *text_of(struct sink *s)
{
	return container_of(s, struct text_sink, sink);
}

static int text_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	struct text_sink *t = xnew(struct text_sink);

	(void)e;
	t->sink.ops = &sink_text;
	t->options = *options;
	*ret = &t->sink;
	return 0;
}

/* The usual width of a field's values. Names of an enum are known beforehand: the longest counts, or
 * the rows of a slow stream would not stand below each other. */
static unsigned field_cols(const struct field *f)
{
	const struct names *names =
		f->type == FIELD_ENUM && !(f->flags & FIELD_FLAGS) ? f->names : NULL;
	unsigned cols = f->kind->min_cols;

	for (size_t i = 0; names && i < names->count; i++)
		cols = max(cols, min((unsigned)strlen(names->at[i].name), (unsigned)NAME_COLS));
	return cols;
}

static struct table_col table_column(const struct column *c)
{
	const struct kind *kind = c->field ? c->field->kind : NULL;

	return (struct table_col){
		.title = columns_title(c->name, c->field),
		.align = kind && kind->right_aligned ? TABLE_RIGHT : TABLE_LEFT,
		.min_cols = c->what == COLUMN_TIME ? WALL_LOCAL_LEN
			    : kind                 ? field_cols(c->field)
						   : 0,
		.whole = c->what == COLUMN_TIME,
	};
}

/* One probe: columns of its fields. Several: time, probe, process, and the rest as words. */
static void text_table(struct text_sink *t, const struct columns *columns)
{
	static const struct table_col lines[] = {
		{ .title = "TIME", .min_cols = WALL_LOCAL_LEN, .whole = true },
		{ .title = "PROBE", .min_cols = 13 },
		{ .title = "PID", .align = TABLE_RIGHT, .min_cols = 7 },
		{ .title = "COMM", .min_cols = 15 },
		{ .title = "WHAT" },
	};
	struct table_style style = { .width_cols = t->options.width_cols,
				     .settle_rows = t->options.snapshot ? ALL_ROWS : SETTLE_ROWS,
				     .colour = t->options.colour,
				     .no_header = t->options.no_header };
	auto_free struct table_col *cols = NULL;

	if (!t->options.one_probe && !t->options.field_count) {
		t->table = table_new(lines, ARRAY_LEN(lines), style, &t->out);
		return;
	}
	cols = xcalloc(columns->at.len, sizeof(*cols));
	for (size_t i = 0; i < columns->at.len; i++)
		cols[i] = table_column(&columns->at.at[i]);
	t->table = table_new(cols, columns->at.len, style, &t->out);
	for (size_t i = 0; i < columns->at.len; i++)
		free((char *)(uintptr_t)cols[i].title);
}

static void stacks_part(struct columns *from, struct columns *stacks)
{
	size_t kept = 0;

	for (size_t i = 0; i < from->at.len; i++) {
		const struct column *c = &from->at.at[i];

		if (c->field && c->field->kind->class == CLASS_STACK)
			vec_push(&stacks->at, *c);
		else
			from->at.at[kept++] = *c;
	}
	from->at.len = kept;
}

static int text_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	struct text_sink *t = text_of(s);
	struct columns columns = { 0 };
	struct text_schema *bound;
	int err = columns_choose(&t->options, schema, false, &columns, e);

	if (err)
		return err;
	if (!t->options.field_count)
		columns_join_ports(&columns, schema);
	bound = vec_add(&t->schemas);
	bound->schema = schema;
	stacks_part(&columns, &bound->stacks);
	bound->columns = columns;
	if (!t->table)
		text_table(t, &columns);
	return 0;
}

static void cell_time(struct text_sink *t, uint64_t at_ns)
{
	char local[WALL_LOCAL_LEN + 1];

	wall_local(t->options.wall, at_ns, local);
	table_cell(t->table, TERM_DIM, local, WALL_LOCAL_LEN);
}

/* What went wrong is red; what is not known, dim. */
static enum term_style value_style(const struct field *f, struct value v)
{
	if (v.type == VALUE_NONE)
		return TERM_DIM;
	if (str_eq(f->kind->name, "errno") && v.s64)
		return TERM_RED;
	return TERM_PLAIN;
}

/* "10.0.0.1:443", "[::1]:443" */
static void append_port(struct strbuf *out, const struct row *r, const struct field *port,
			struct value address)
{
	struct value v = row_value(r, port);

	if (address.ip.family == AF_INET6)
		strbuf_putc(out, ']');
	strbuf_appendf(out, ":%llu", (unsigned long long)v.u64);
}

static void append_value(struct strbuf *out, const struct field *f, const struct field *port,
			 const struct row *r, struct value v)
{
	bool joined = port && v.type == VALUE_IP && v.ip.family;

	if (joined && v.ip.family == AF_INET6)
		strbuf_putc(out, '[');
	value_text_form(out, f, v);
	if (joined)
		append_port(out, r, port, v);
}

static void cell_value(struct text_sink *t, const struct field *f, const struct field *port,
		       const struct row *r)
{
	struct value v = row_value(r, f);

	strbuf_reset(&t->cell);
	append_value(&t->cell, f, port, r, v);
	table_cell(t->table, value_style(f, v), strbuf_str(&t->cell), t->cell.len);
}

static void row_columns(struct text_sink *t, const struct text_schema *bound, const struct row *r)
{
	for (size_t i = 0; i < bound->columns.at.len; i++) {
		const struct column *c = &bound->columns.at.at[i];

		if (c->what == COLUMN_TIME)
			cell_time(t, r->at_ns);
		else if (c->what == COLUMN_PROBE)
			table_str(t->table, r->schema->probe);
		else if (c->field)
			cell_value(t, c->field, c->port, r);
		else
			table_cell(t->table, TERM_DIM, "-", 1);
	}
}

static void cell_field(struct text_sink *t, const struct schema *s, const char *name,
		       const struct row *r)
{
	const struct field *f = schema_field(s, name);

	if (f)
		cell_value(t, f, NULL, r);
	else
		table_cell(t->table, TERM_DIM, "-", 1);
}

static bool shown_apart(const struct column *c)
{
	return c->what != COLUMN_FIELD || str_eq(c->name, "pid") || str_eq(c->name, "comm");
}

static void row_words(struct text_sink *t, const struct text_schema *bound, const struct row *r)
{
	auto_done(strbuf) words = { 0 };

	cell_time(t, r->at_ns);
	table_str(t->table, r->schema->probe);
	cell_field(t, bound->schema, "pid", r);
	cell_field(t, bound->schema, "comm", r);
	for (size_t i = 0; i < bound->columns.at.len; i++) {
		const struct column *c = &bound->columns.at.at[i];
		struct value v;

		if (shown_apart(c) || !c->field)
			continue;
		v = row_value(r, c->field);
		if (v.type == VALUE_NONE)
			continue;
		strbuf_appendf(&words, "%s%.*s=", words.len ? " " : "",
			       (int)columns_name_len(c->name, c->field), c->name);
		append_value(&words, c->field, c->port, r, v);
	}
	table_cell(t->table, TERM_PLAIN, strbuf_str(&words), words.len);
}

static const struct text_schema *text_schema_of(const struct text_sink *t,
						const struct schema *schema)
{
	for (size_t i = 0; i < t->schemas.len; i++)
		if (t->schemas.at[i].schema == schema)
			return &t->schemas.at[i];
	return NULL;
}

static void row_stacks(struct text_sink *t, const struct text_schema *bound, const struct row *r)
{
	table_settle(t->table);
	for (size_t i = 0; i < bound->stacks.at.len; i++) {
		const struct column *c = &bound->stacks.at.at[i];
		struct value v = row_value(r, c->field);

		strbuf_reset(&t->cell);
		if (v.type != VALUE_NONE)
			value_text_form(&t->cell, c->field, v);
		frames_lines(frames_all(strbuf_str(&t->cell), t->cell.len), c->name,
			     t->options.width_cols, &t->out);
	}
}

static int text_row(struct sink *s, const struct row *r, struct err *e)
{
	struct text_sink *t = text_of(s);
	const struct text_schema *bound = text_schema_of(t, r->schema);

	(void)e;
	assert(bound);
	if (t->options.one_probe || t->options.field_count)
		row_columns(t, bound, r);
	else
		row_words(t, bound, r);
	table_row_end(t->table);
	if (bound->stacks.at.len)
		row_stacks(t, bound, r);
	return 0;
}

static int text_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		     uint64_t at_ns, struct err *e)
{
	struct text_sink *t = text_of(s);
	char local[WALL_LOCAL_LEN + 1];

	(void)e;
	wall_local(t->options.wall, at_ns, local);
	if (t->table)
		table_settle(t->table);
	strbuf_appendf(&t->out, "%s%s  %s: lost %llu (%s)%s\n",
		       t->options.colour ? term_style_on(TERM_RED) : "", local, probe,
		       (unsigned long long)count, cause,
		       t->options.colour ? term_style_off(TERM_RED) : "");
	return 0;
}

static int text_flush(struct sink *s, struct err *e)
{
	struct text_sink *t = text_of(s);

	if (t->table)
		table_settle(t->table);
	return out_write(&t->out, t->options.fd, t->options.cancel_fd, e);
}

static void text_close(struct sink *s)
{
	struct text_sink *t = text_of(s);

	vec_for_each(bound, &t->schemas) {
		columns_done(&bound->columns);
		columns_done(&bound->stacks);
	}
	vec_done(&t->schemas);
	table_free(t->table);
	strbuf_done(&t->out);
	strbuf_done(&t->cell);
	free(t);
}

const struct sink_ops sink_text = {
	.name = "text",
	.help = "aligned columns",
	.open = text_open,
	.bind = text_bind,
	.row = text_row,
	.loss = text_loss,
	.flush = text_flush,
	.close = text_close,
};
