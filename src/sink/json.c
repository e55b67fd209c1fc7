/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON lines: one object a row, nothing cut, unknown values null. The keys of a schema are quoted once
 * when it is bound.
 */
#include "sink/sinks.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "schema/kind.h"
#include "sink/columns.h"
#include "sink/out.h"

#include <assert.h>

/* Keys up to so long are copied whole, which is quicker than by their length. */
#define KEY_ROOM 24

struct json_column {
	struct column column;
	const char *key; /* `,"took_ns":`, with KEY_ROOM bytes behind it that may be read */
	size_t key_len;
};

struct json_schema {
	const struct schema *schema;
	struct json_column *columns;
	size_t count;
	struct strbuf keys;
};

struct json_sink {
	struct sink sink;
	struct sink_options options;
	struct strbuf out;
	vec(struct json_schema) schemas;
};

static struct json_sink *json_of(struct sink *s)
{
	return container_of(s, struct json_sink, sink);
}

static int json_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	struct json_sink *js = xnew(struct json_sink);

	(void)e;
	js->sink.ops = &sink_json;
	js->options = *options;
	*ret = &js->sink;
	return 0;
}

static int json_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	struct json_sink *js = json_of(s);
	struct columns columns = { 0 };
	struct json_schema *bound;
	int err = columns_choose(&js->options, schema, true, &columns, e);
	size_t at = 0;

	if (err)
		return err;
	bound = vec_add(&js->schemas);
	bound->schema = schema;
	bound->count = columns.at.len;
	bound->columns = xcalloc(columns.at.len + 1, sizeof(*bound->columns));
	for (size_t i = 0; i < columns.at.len; i++) {
		struct json_column *c = &bound->columns[i];

		c->column = columns.at.at[i];
		strbuf_putc(&bound->keys, i ? ',' : '{');
		json_key_prepare(&bound->keys, c->column.name);
		c->key_len = bound->keys.len - at;
		at = bound->keys.len;
	}
	strbuf_pad(&bound->keys, '\0', KEY_ROOM);
	at = 0;
	for (size_t i = 0; i < bound->count; i++) {
		bound->columns[i].key = bound->keys.s + at;
		at += bound->columns[i].key_len;
	}
	columns_done(&columns);
	return 0;
}

static void json_time(struct json *j, struct wall *wall, uint64_t at_ns)
{
	char quoted[WALL_UTC_LEN + 3];

	quoted[0] = '"';
	wall_utc(wall, at_ns, quoted + 1);
	quoted[WALL_UTC_LEN + 1] = '"';
	json_raw(j, quoted, WALL_UTC_LEN + 2);
}

static inline void key_append(struct strbuf *out, const struct json_column *c)
{
	char *to = strbuf_room(out, KEY_ROOM + c->key_len);

	memcpy(to, c->key, KEY_ROOM);
	if (c->key_len > KEY_ROOM)
		memcpy(to, c->key, c->key_len);
	strbuf_end(out, to + c->key_len);
}

static void json_column(struct json_sink *js, struct json *j, const struct json_column *c,
			const struct row *r)
{
	key_append(j->out, c);
	j->comma = false;
	switch (c->column.what) {
	case COLUMN_TIME:
		json_time(j, js->options.wall, r->at_ns);
		break;
	case COLUMN_PROBE:
		json_str(j, r->schema->probe);
		break;
	case COLUMN_FIELD:
		if (c->column.field)
			value_json_form(j, c->column.field, row_value(r, c->column.field));
		else
			json_null(j);
		break;
	}
}

static const struct json_schema *json_schema_of(const struct json_sink *js,
						const struct schema *schema)
{
	for (size_t i = 0; i < js->schemas.len; i++)
		if (js->schemas.at[i].schema == schema)
			return &js->schemas.at[i];
	return NULL;
}

static int json_row(struct sink *s, const struct row *r, struct err *e)
{
	struct json_sink *js = json_of(s);
	const struct json_schema *bound = json_schema_of(js, r->schema);
	struct json j = { .out = &js->out };

	(void)e;
	assert(bound);
	for (size_t i = 0; i < bound->count; i++)
		json_column(js, &j, &bound->columns[i], r);
	json_obj_end(&j);
	json_line_end(&j);
	return 0;
}

static int json_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		     uint64_t at_ns, struct err *e)
{
	struct json_sink *js = json_of(s);
	struct json j = { .out = &js->out };

	(void)e;
	json_obj_begin(&j);
	json_key(&j, "time");
	json_time(&j, js->options.wall, at_ns);
	json_key(&j, "probe");
	json_str(&j, probe);
	json_key(&j, "lost");
	json_u64(&j, count);
	json_key(&j, "cause");
	json_str(&j, cause);
	json_obj_end(&j);
	json_line_end(&j);
	return 0;
}

static int json_trailer(struct sink *s, const char *members, uint64_t at_ns, struct err *e)
{
	struct json_sink *js = json_of(s);
	struct json j = { .out = &js->out };

	(void)e;
	json_obj_begin(&j);
	json_key(&j, "time");
	if (at_ns)
		json_time(&j, js->options.wall, at_ns);
	else
		json_null(&j);
	json_raw(&j, members, strlen(members));
	json_obj_end(&j);
	json_line_end(&j);
	return 0;
}

static int json_flush(struct sink *s, struct err *e)
{
	struct json_sink *js = json_of(s);

	return out_write(&js->out, js->options.fd, js->options.cancel_fd, e);
}

static void json_close(struct sink *s)
{
	struct json_sink *js = json_of(s);

	vec_for_each(bound, &js->schemas) {
		free(bound->columns);
		strbuf_done(&bound->keys);
	}
	vec_done(&js->schemas);
	strbuf_done(&js->out);
	free(js);
}

const struct sink_ops sink_json = {
	.name = "json",
	.help = "one JSON object a line",
	.open = json_open,
	.bind = json_bind,
	.row = json_row,
	.loss = json_loss,
	.flush = json_flush,
	.trailer = json_trailer,
	.close = json_close,
};
