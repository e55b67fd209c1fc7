/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording: what comes is gathered in a block, which is compressed and written when it is large or
 * old, so that a file that ends anywhere has all blocks before that whole. See schema/recording.h.
 */
#include "sink/sink.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "schema/account.h"
#include "schema/describe.h"
#include "schema/recording.h"
#include "sink/intern.h"
#include "sink/out.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <zstd.h>

#define AGE_MAX_NS 1000000000ULL
#define LEVEL      1 /* of zstd: higher ones cost more than they save here */

struct recorded_schema {
	const struct schema *schema;
	uint64_t rows;
	vec(const struct field *) derived;
};

struct record_sink {
	struct sink sink;
	struct sink_options options;
	const char *name; /* for messages */
	int fd;
	bool own_fd;
	ZSTD_CCtx *zstd;
	struct strbuf block; /* items that are not compressed yet */
	struct strbuf out;   /* whole blocks that are not written yet */
	struct intern values;
	uint64_t written_ns; /* CLOCK_MONOTONIC */
	vec(struct recorded_schema) schemas;
	vec(uint32_t) refs; /* of the row at hand */
};

static struct record_sink *record_of(struct sink *s)
{
	return container_of(s, struct record_sink, sink);
}

static int record_write(struct record_sink *rs, struct err *e)
{
	int err = out_write(&rs->out, rs->fd, rs->options.cancel_fd, e);

	rs->written_ns = clock_mono_ns();
	if (!err)
		return 0;
	wrap(e, "recording '%s'", rs->name);
	return rs->own_fd ? hint(e, "what was written before can be replayed") : -e->code;
}

/* One block, compressed where that makes it smaller, behind those that wait. */
static void block_close(struct record_sink *rs, enum recording_block_type type, const void *bytes,
			size_t len)
{
	struct recording_block head = { .type = type, .plain_bytes = (uint32_t)len };
	size_t room = ZSTD_compressBound(len), stored;
	char *to = strbuf_room(&rs->out, sizeof(head) + room);

	assert(len <= RECORDING_BLOCK_MAX);
	stored = ZSTD_compressCCtx(rs->zstd, to + sizeof(head), room, bytes, len, LEVEL);
	if (ZSTD_isError(stored) || stored >= len) {
		stored = len;
		if (len)
			memcpy(to + sizeof(head), bytes, len);
	}
	head.stored_bytes = (uint32_t)stored;
	head.checksum = recording_block_checksum(&head, to + sizeof(head));
	memcpy(to, &head, sizeof(head));
	strbuf_end(&rs->out, to + sizeof(head) + stored);
}

static void rows_close(struct record_sink *rs)
{
	if (rs->block.len)
		block_close(rs, BLOCK_ROWS, rs->block.s, rs->block.len);
	strbuf_reset(&rs->block);
	intern_reset(&rs->values);
}

static void head_put(struct record_sink *rs)
{
	struct recording_head head = { .magic = RECORDING_MAGIC,
				       .order = RECORDING_ORDER,
				       .version = RECORDING_VERSION,
				       .wall_offset_ns = rs->options.wall->offset_ns,
				       .started_ns = clock_boot_ns(),
				       .cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN) };
	struct utsname names;

	if (!uname(&names)) {
		str_copy(head.release, sizeof(head.release), names.release);
		str_copy(head.host, sizeof(head.host), names.nodename);
	}
	head.checksum = recording_head_checksum(&head);
	strbuf_append(&rs->out, (const void *)&head, sizeof(head));
}

static int record_file(struct record_sink *rs, const char *path, struct err *e)
{
	rs->own_fd = path && !str_eq(path, "-");
	rs->name = rs->own_fd ? path : "-";
	rs->fd = rs->options.fd;
	if (rs->own_fd)
		rs->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	if (rs->fd < 0)
		return fail(e, errno, "recording '%s': %s", path, strerror(errno));
	if (!isatty(rs->fd))
		return 0;
	fail_as(e, EXIT_USAGE, EINVAL, "a recording is not written to a terminal");
	return hint(e, "name a file (--to FILE), or pipe it into another program");
}

static void record_close(struct sink *s)
{
	struct record_sink *rs = record_of(s);

	vec_for_each(bound, &rs->schemas)
		vec_done(&bound->derived);
	vec_done(&rs->schemas);
	vec_done(&rs->refs);
	intern_done(&rs->values);
	strbuf_done(&rs->block);
	strbuf_done(&rs->out);
	ZSTD_freeCCtx(rs->zstd);
	if (rs->own_fd)
		fd_close(&rs->fd);
	free(rs);
}

static int record_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	struct record_sink *rs = xnew(struct record_sink);
	int err;

	rs->sink.ops = &sink_record;
	rs->options = *options;
	rs->zstd = ZSTD_createCCtx();
	err = rs->zstd ? record_file(rs, options->path, e)
		       : fail(e, ENOMEM, "no memory to compress with");
	if (!err) {
		head_put(rs);
		err = record_write(rs, e);
	}
	if (err) {
		record_close(&rs->sink);
		return err;
	}
	*ret = &rs->sink;
	return 0;
}

static int record_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	struct record_sink *rs = record_of(s);
	auto_done(strbuf) bytes = { 0 };
	struct recorded_schema *bound;

	schema_encode(schema, &bytes);
	if (bytes.len > RECORDING_BLOCK_MAX)
		return fail(e, EMSGSIZE, "recording '%s': the schema of %s is too large", rs->name,
			    schema->probe);
	rows_close(rs);
	block_close(rs, BLOCK_SCHEMA, bytes.s, bytes.len);
	bound = vec_add(&rs->schemas);
	bound->schema = schema;
	for (size_t i = 0; i < schema->field_count; i++)
		if (schema->fields[i].type == FIELD_DERIVED)
			vec_push(&bound->derived, &schema->fields[i]);
	vec_reserve(&rs->refs, bound->derived.len);
	return 0;
}

static struct recorded_schema *record_schema_of(struct record_sink *rs, const struct schema *schema)
{
	vec_for_each(bound, &rs->schemas)
		if (bound->schema == schema)
			return bound;
	return NULL;
}

static bool block_is_full(const struct record_sink *rs)
{
	return rs->block.len >= RECORDING_BLOCK_AIM || intern_full(&rs->values);
}

static void row_put(struct record_sink *rs, const struct row *r, uint32_t schema)
{
	uint32_t refs_bytes = (uint32_t)(rs->refs.len * sizeof(*rs->refs.at));
	struct recording_row row = { .schema = schema,
				     .cpu = r->cpu,
				     .seq = r->seq,
				     .at_ns = r->at_ns,
				     .derived = (uint32_t)rs->refs.len,
				     .size = r->size };
	uint32_t bytes = (uint32_t)sizeof(row) + refs_bytes + r->size;
	struct recording_item item = { .type = ITEM_ROW, .bytes = bytes };

	strbuf_append(&rs->block, (const void *)&item, sizeof(item));
	strbuf_append(&rs->block, (const void *)&row, sizeof(row));
	strbuf_append(&rs->block, (const void *)rs->refs.at, refs_bytes);
	strbuf_append(&rs->block, (const void *)r->bytes, r->size);
	strbuf_pad(&rs->block, '\0', recording_padded(bytes) - bytes);
}

static int record_row(struct sink *s, const struct row *r, struct err *e)
{
	struct record_sink *rs = record_of(s);
	struct recorded_schema *bound = record_schema_of(rs, r->schema);

	assert(bound);
	if (block_is_full(rs))
		rows_close(rs);
	vec_clear(&rs->refs);
	vec_for_each(f, &bound->derived)
		vec_push(&rs->refs, intern_value(&rs->values, &rs->block, row_value(r, *f)));
	if (r->size > RECORDING_BLOCK_MAX / 2 || rs->block.len > RECORDING_BLOCK_MAX / 2 - 8192)
		return fail(e, EMSGSIZE, "recording '%s': a row of %s is too large", rs->name,
			    r->schema->probe);
	row_put(rs, r, (uint32_t)(bound - rs->schemas.at));
	bound->rows++;
	return 0;
}

static uint32_t name_put(struct record_sink *rs, const char *name)
{
	return intern_value(&rs->values, &rs->block, value_text(name, (uint32_t)strlen(name)));
}

static int record_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		       uint64_t at_ns, struct err *e)
{
	struct record_sink *rs = record_of(s);
	struct recording_loss loss = { .count = count, .at_ns = at_ns };
	struct recording_item item = { .type = ITEM_LOSS, .bytes = sizeof(loss) };

	(void)e;
	if (block_is_full(rs))
		rows_close(rs);
	loss.probe = name_put(rs, probe);
	loss.cause = name_put(rs, cause);
	strbuf_append(&rs->block, (const void *)&item, sizeof(item));
	strbuf_append(&rs->block, (const void *)&loss, sizeof(loss));
	return 0;
}

static int record_flush(struct sink *s, struct err *e)
{
	struct record_sink *rs = record_of(s);

	if (rs->block.len < RECORDING_BLOCK_AIM && rs->out.len < RECORDING_BLOCK_AIM &&
	    clock_mono_ns() - rs->written_ns < AGE_MAX_NS)
		return 0;
	rows_close(rs);
	return record_write(rs, e);
}

static void account_put(struct record_sink *rs, const struct account *a, struct strbuf *out)
{
	const struct stats *k = &a->kernel;
	struct recording_account account = { .seen = k->seen + a->missed,
					     .missed = a->missed,
					     .cut = k->cut,
					     .unresolved = k->unresolved,
					     .overflow = k->overflow,
					     .probe_bytes = strlen(a->probe) };

	vec_for_each(bound, &rs->schemas)
		account.rows += str_eq(bound->schema->probe, a->probe) ? bound->rows : 0;
	/* sent, but never read or not understood; read, but not of interest */
	account.lost = a->missed + k->sent - a->received + a->malformed;
	for (unsigned cause = 0; cause < LOSS_COUNT; cause++)
		account.lost += k->lost[cause];
	account.filtered = k->filtered + a->received - a->malformed - account.rows;
	strbuf_append(out, (const void *)&account, sizeof(account));
	strbuf_puts(out, a->probe);
	strbuf_pad(out, '\0', recording_padded((uint32_t)out->len) - out->len);
}

static int record_end(struct sink *s, const struct account *accounts, size_t count, struct err *e)
{
	struct record_sink *rs = record_of(s);
	auto_done(strbuf) bytes = { 0 };

	for (size_t i = 0; i < count; i++)
		account_put(rs, &accounts[i], &bytes);
	rows_close(rs);
	block_close(rs, BLOCK_END, strbuf_str(&bytes), bytes.len);
	return record_write(rs, e);
}

const struct sink_ops sink_record = {
	.name = "record",
	.help = "a file for replay",
	.open = record_open,
	.bind = record_bind,
	.row = record_row,
	.loss = record_loss,
	.flush = record_flush,
	.end = record_end,
	.close = record_close,
};
