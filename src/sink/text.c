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
#include "sink/narrow.h"
#include "sink/out.h"

#include <assert.h>
#include <limits.h>
#include <sys/socket.h>

#define SETTLE_ROWS 1        /* a person waits for the first row */
#define ALL_ROWS    UINT_MAX /* nobody waits for a part of a snapshot */
#define WORDS_COLS  100      /* lines of words are narrow below that */

struct text_schema {
	const struct schema *schema;
	struct table *table;
	struct columns columns;
	struct columns stacks; /* each in lines of its own, below the row */
	bool narrow;
	bool begun; /* its header is written, or is to be the next */
};

struct text_sink {
	struct sink sink;
	struct sink_options options;
	struct strbuf out, cell;
	struct table *table; /* of the last row */
	vec(struct text_schema) schemas;
	/* what found no room, until it is told before the first rows */
	unsigned left_out_schemas, left_out_fields;
	char *left_out_note;
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

/* What of a column's name is shown: without the unit, which is printed with each value, unless two would
 * be called the same. */
static size_t shown_name_len(const struct columns *columns, const struct column *c)
{
	vec_for_each(other, &columns->at)
		if (c->field && other->field && columns_collide(c->field, other->field))
			return strlen(c->name);
	return columns_name_len(c->name, c->field);
}

static struct table_col table_column(const struct columns *columns, const struct column *c,
				     bool narrow)
{
	const struct kind *kind = c->field ? c->field->kind : NULL;

	return (struct table_col){
		.title = columns_title(c->name, shown_name_len(columns, c)),
		.align = kind && kind->right_aligned ? TABLE_RIGHT : TABLE_LEFT,
		.min_cols = column_cols(c, narrow),
		.whole = c->what == COLUMN_TIME,
		.keep_end = kind && str_eq(kind->name, "path"),
	};
}

/* Several events of one probe have each their own columns, and so their own header. */
static bool tables_differ(const struct text_sink *t)
{
	return t->options.one_probe && !t->options.field_count;
}

static bool is_words(const struct text_sink *t)
{
	return !t->options.one_probe && !t->options.field_count;
}

static bool words_narrow(const struct text_sink *t)
{
	return t->options.width_cols && t->options.width_cols < WORDS_COLS;
}

static enum wall_form time_form(const struct text_sink *t, bool narrow)
{
	return t->options.time ?: narrow ? WALL_S : WALL_MS;
}

enum { TIME, PROBE, PID, COMM, WHAT, WORDS_COUNT };

/* Several probes: time, probe, process, and the rest as words. */
static void words_columns(const struct text_sink *t, struct table_col cols[static WORDS_COUNT])
{
	bool narrow = words_narrow(t);
	unsigned time_cols = wall_text_len(time_form(t, narrow));

	cols[TIME] = (struct table_col){ "TIME", .min_cols = time_cols, .whole = true };
	cols[PROBE] = (struct table_col){ "PROBE", .min_cols = 13 };
	cols[PID] = (struct table_col){ "PID", .align = TABLE_RIGHT, .min_cols = 7 };
	cols[COMM] = (struct table_col){ "COMM", .min_cols = narrow ? 10 : 15 };
	cols[WHAT] = (struct table_col){ "WHAT" };
}

/* What a terminal leaves to the words. */
static unsigned words_room(const struct text_sink *t)
{
	struct table_col cols[WORDS_COUNT];
	unsigned taken = 0;

	words_columns(t, cols);
	for (size_t i = 0; i < WHAT; i++)
		taken += cols[i].min_cols + NARROW_GAP_COLS;
	return t->options.width_cols > taken ? t->options.width_cols - taken : 0;
}

static struct table *text_table(struct text_sink *t, const struct columns *columns, bool narrow)
{
	struct table_style style = { .width_cols = t->options.width_cols,
				     .settle_rows = t->options.snapshot ? ALL_ROWS : SETTLE_ROWS,
				     .colour = t->options.colour,
				     .no_header = t->options.no_header };
	struct table_col words[WORDS_COUNT];
	auto_free struct table_col *cols = NULL;
	struct table *table;

	if (is_words(t)) {
		words_columns(t, words);
		return table_new(words, WORDS_COUNT, style, &t->out);
	}
	cols = xcalloc(columns->at.len, sizeof(*cols));
	for (size_t i = 0; i < columns->at.len; i++)
		cols[i] = table_column(columns, &columns->at.at[i], narrow);
	table = table_new(cols, columns->at.len, style, &t->out);
	for (size_t i = 0; i < columns->at.len; i++)
		free((char *)(uintptr_t)cols[i].title);
	return table;
}

/* On a terminal that is too narrow for the usual columns; who names them gets them. */
static bool text_narrow(struct text_sink *t, const struct schema *schema, struct columns *columns)
{
	auto_done(strbuf) left_out = { 0 };
	size_t before = columns->at.len;
	bool words = is_words(t), narrow;

	if (!t->options.width_cols || (t->options.field_count && !t->options.fields_usual))
		return false;
	narrow = columns_narrow(columns, words ? NARROW_WORDS : NARROW_TABLE,
				words ? words_room(t) : t->options.width_cols, &left_out);
	if (!left_out.len || !t->options.note)
		return narrow;
	t->left_out_schemas++;
	t->left_out_fields += (unsigned)(before - columns->at.len);
	free(t->left_out_note);
	t->left_out_note = xasprintf(
		"%s: no room in %u columns for %s (a wider terminal or -f LIST shows them)",
		schema->probe, t->options.width_cols, strbuf_str(&left_out));
	if (t->options.verbose)
		t->options.note(t->left_out_note);
	return narrow;
}

/* One line, however many probes it is about. */
static void text_note(struct text_sink *t)
{
	if (!t->left_out_note)
		return;
	if (t->left_out_schemas > 1) {
		free(t->left_out_note);
		t->left_out_note = xasprintf(
			"no room in %u columns for %u fields: -v names them, -f LIST shows them",
			t->options.width_cols, t->left_out_fields);
	}
	if (!t->options.verbose)
		t->options.note(t->left_out_note);
	free(t->left_out_note);
	t->left_out_note = NULL;
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
	bound->narrow = text_narrow(t, schema, &columns);
	bound->columns = columns;
	bound->table =
		t->table && !tables_differ(t) ? t->table : text_table(t, &columns, bound->narrow);
	bound->begun = !t->table;
	if (!t->table)
		t->table = bound->table;
	return 0;
}

static void cell_time(struct text_sink *t, uint64_t at_ns, bool narrow)
{
	char text[WALL_UTC_LEN + 1];
	size_t len = wall_text(t->options.wall, time_form(t, narrow), at_ns, text);

	table_cell(t->table, TERM_DIM, text, len);
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
			cell_time(t, r->at_ns, bound->narrow);
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

/* No error, no descriptor, or an empty text: nothing that a line would have to say. */
static bool says_nothing(const struct field *f, struct value v)
{
	if (v.type == VALUE_TEXT)
		return !v.text.len;
	if (str_eq(f->kind->name, "fd") && v.type == VALUE_S64)
		return v.s64 < 0;
	return v.type == VALUE_NONE || (str_eq(f->kind->name, "errno") && !v.u64);
}

static void row_words(struct text_sink *t, const struct text_schema *bound, const struct row *r)
{
	auto_done(strbuf) words = { 0 };

	cell_time(t, r->at_ns, words_narrow(t));
	table_str(t->table, r->schema->probe);
	cell_field(t, bound->schema, "pid", r);
	cell_field(t, bound->schema, "comm", r);
	for (size_t i = 0; i < bound->columns.at.len; i++) {
		const struct column *c = &bound->columns.at.at[i];
		struct value v;

		if (column_is_apart(c) || !c->field)
			continue;
		v = row_value(r, c->field);
		if (says_nothing(c->field, v))
			continue;
		strbuf_appendf(&words, "%s%.*s=", words.len ? " " : "",
			       (int)shown_name_len(&bound->columns, c), c->name);
		append_value(&words, c->field, c->port, r, v);
	}
	table_cell(t->table, TERM_PLAIN, strbuf_str(&words), words.len);
}

static struct text_schema *text_schema_of(struct text_sink *t, const struct schema *schema)
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

/* The header of these rows comes above them, again after rows of others. */
static void table_turn(struct text_sink *t, struct text_schema *to)
{
	if (t->table != to->table) {
		table_settle(t->table);
		t->table = to->table;
		if (to->begun && !t->options.no_header)
			table_header(t->table);
	}
	to->begun = true;
}

static int text_row(struct sink *s, const struct row *r, struct err *e)
{
	struct text_sink *t = text_of(s);
	struct text_schema *bound = text_schema_of(t, r->schema);

	(void)e;
	assert(bound);
	table_turn(t, bound);
	if (is_words(t))
		row_words(t, bound, r);
	else
		row_columns(t, bound, r);
	table_row_end(t->table);
	if (bound->stacks.at.len)
		row_stacks(t, bound, r);
	return 0;
}

static int text_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		     uint64_t at_ns, struct err *e)
{
	struct text_sink *t = text_of(s);
	char text[WALL_UTC_LEN + 1];

	(void)e;
	wall_text(t->options.wall, time_form(t, false), at_ns, text);
	if (t->table)
		table_settle(t->table);
	strbuf_appendf(&t->out, "%s%s  %s: lost %llu (%s)%s\n",
		       t->options.colour ? term_style_on(TERM_RED) : "", text, probe,
		       (unsigned long long)count, cause,
		       t->options.colour ? term_style_off(TERM_RED) : "");
	return 0;
}

static int text_flush(struct sink *s, struct err *e)
{
	struct text_sink *t = text_of(s);

	text_note(t);
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
		if (tables_differ(t) || bound == t->schemas.at)
			table_free(bound->table);
	}
	vec_done(&t->schemas);
	strbuf_done(&t->out);
	strbuf_done(&t->cell);
	free(t->left_out_note);
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
