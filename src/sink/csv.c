/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CSV as RFC 4180 has it: CRLF is not used, quotes where needed. Values as in JSON, so that units are
 * plain; lists and texts unquoted of JSON. Rows of another schema begin with a header of their own,
 * after an empty line.
 */
#include "sink/sinks.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "schema/kind.h"
#include "sink/columns.h"
#include "sink/csv.h"
#include "sink/out.h"

#include <assert.h>

struct csv_schema {
	const struct schema *schema;
	struct columns columns;
};

struct csv_sink {
	struct sink sink;
	struct sink_options options;
	struct strbuf out, cell;
	const struct schema *last; /* whose header stands above */
	vec(struct csv_schema) schemas;
};

static struct csv_sink *csv_of(struct sink *s)
{
	return container_of(s, struct csv_sink, sink);
}

static int csv_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	struct csv_sink *c = xnew(struct csv_sink);

	(void)e;
	c->sink.ops = &sink_csv;
	c->options = *options;
	*ret = &c->sink;
	return 0;
}

static int csv_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	struct csv_sink *c = csv_of(s);
	struct columns columns = { 0 };
	struct csv_schema *bound;
	int err = columns_choose(&c->options, schema, true, &columns, e);

	if (err)
		return err;
	bound = vec_add(&c->schemas);
	bound->schema = schema;
	bound->columns = columns;
	return 0;
}

void csv_cell(struct strbuf *out, const char *text, size_t len)
{
	if (!memchr(text, '"', len) && !memchr(text, ',', len) && !memchr(text, '\n', len) &&
	    !memchr(text, '\r', len)) {
		strbuf_append(out, text, len);
		return;
	}
	strbuf_putc(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			strbuf_putc(out, '"');
		strbuf_putc(out, text[i]);
	}
	strbuf_putc(out, '"');
}

void csv_value(struct strbuf *out, struct strbuf *scratch, const struct field *f, struct value v)
{
	struct json j = { .out = scratch };
	const char *text;
	size_t len;

	if (v.type == VALUE_NONE)
		return;
	if (f->kind->class == CLASS_STACK ||
	    (v.type == VALUE_TEXT && f->type != FIELD_ARRAY && f->kind->class == CLASS_TEXT)) {
		/* the bytes as they are; arguments as a shell takes them */
		v.cut = false;
		strbuf_reset(scratch);
		value_text_form(scratch, f, v);
		csv_cell(out, strbuf_str(scratch), scratch->len);
		return;
	}
	strbuf_reset(scratch);
	value_json_form(&j, f, v);
	text = strbuf_str(scratch);
	len = scratch->len;
	if (len == 4 && !memcmp(text, "null", 4))
		return;
	if (len >= 2 && text[0] == '"') { /* names need no escapes */
		text++;
		len -= 2;
	}
	csv_cell(out, text, len);
}

static void csv_header(struct csv_sink *c, const struct csv_schema *bound)
{
	if (c->last)
		strbuf_putc(&c->out, '\n');
	c->last = bound->schema;
	if (c->options.no_header)
		return;
	for (size_t i = 0; i < bound->columns.at.len; i++) {
		if (i)
			strbuf_putc(&c->out, ',');
		strbuf_puts(&c->out, bound->columns.at.at[i].name);
	}
	strbuf_putc(&c->out, '\n');
}

static void csv_column(struct csv_sink *c, const struct column *column, const struct row *r)
{
	char utc[WALL_UTC_LEN + 1];

	if (column->what == COLUMN_TIME) {
		wall_utc(c->options.wall, r->at_ns, utc);
		strbuf_append(&c->out, utc, WALL_UTC_LEN);
	} else if (column->what == COLUMN_PROBE) {
		strbuf_puts(&c->out, r->schema->probe);
	} else if (column->field) {
		csv_value(&c->out, &c->cell, column->field, row_value(r, column->field));
	}
}

static int csv_row(struct sink *s, const struct row *r, struct err *e)
{
	struct csv_sink *c = csv_of(s);
	const struct csv_schema *bound = NULL;

	(void)e;
	vec_for_each(each, &c->schemas)
		if (each->schema == r->schema)
			bound = each;
	assert(bound);
	if (c->last != r->schema)
		csv_header(c, bound);
	for (size_t i = 0; i < bound->columns.at.len; i++) {
		if (i)
			strbuf_putc(&c->out, ',');
		csv_column(c, &bound->columns.at.at[i], r);
	}
	strbuf_putc(&c->out, '\n');
	return 0;
}

static int csv_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		    uint64_t at_ns, struct err *e)
{
	struct csv_sink *c = csv_of(s);
	char utc[WALL_UTC_LEN + 1];

	(void)e;
	wall_utc(c->options.wall, at_ns, utc);
	strbuf_appendf(&c->out, "# %s %s: lost %llu (%s)\n", utc, probe, (unsigned long long)count,
		       cause);
	return 0;
}

static int csv_flush(struct sink *s, struct err *e)
{
	struct csv_sink *c = csv_of(s);

	return out_write(&c->out, c->options.fd, c->options.cancel_fd, e);
}

static void csv_close(struct sink *s)
{
	struct csv_sink *c = csv_of(s);

	vec_for_each(bound, &c->schemas)
		columns_done(&bound->columns);
	vec_done(&c->schemas);
	strbuf_done(&c->out);
	strbuf_done(&c->cell);
	free(c);
}

const struct sink_ops sink_csv = {
	.name = "csv",
	.help = "comma-separated values with a header",
	.open = csv_open,
	.bind = csv_bind,
	.row = csv_row,
	.loss = csv_loss,
	.flush = csv_flush,
	.close = csv_close,
};
