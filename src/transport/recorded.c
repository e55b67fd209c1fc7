/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows from the blocks of a recording. A batch ends with its block, so that rows can point into it.
 * Accounts are those that the end of the recording tells; until it is reached, those of what was read.
 */
#include "transport/recorded.h"

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "schema/describe.h"
#include "transport/blocks.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>

enum { NAME_MAX_BYTES = 255 };

struct recorded {
	struct stream stream;
	char *name;
	struct blocks *blocks;
	bool told;  /* the recording's end was read */
	bool ended; /* nothing follows */
	vec(struct schema *) schemas;
	vec(uint32_t) derived;      /* how many each schema has */
	vec(size_t) schema_account; /* place in accounts */
	size_t schema_bytes;

	const unsigned char *at, *end; /* items that are left of the block */
	vec(struct value) values;      /* of the block, from 1 */
	vec(struct value) row_values;  /* of the row at hand */
	uint64_t rows;

	vec(struct account) accounts;
	loss_fn *on_loss;
	void *loss_ctx;
};

static struct recorded *recorded_of(struct stream *s)
{
	return container_of(s, struct recorded, stream);
}

const struct recording_head *recorded_head(struct stream *s)
{
	return blocks_head(recorded_of(s)->blocks);
}

static int damaged(struct err *e)
{
	return fail(e, EINVAL, "is damaged");
}

/* --- accounts --- */

/* Names of probes and causes are printed as they are. */
static bool is_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i]))
			return false;
	return len && len <= NAME_MAX_BYTES && !memchr(s, '\0', len);
}

/* The account of a probe, new if there is none yet; its place, or -EINVAL. */
static int account_place(struct recorded *r, const char *name, size_t len, struct err *e)
{
	if (!is_name(name, len))
		return damaged(e);
	for (size_t i = 0; i < r->accounts.len; i++)
		if (strlen(r->accounts.at[i].probe) == len &&
		    !memcmp(r->accounts.at[i].probe, name, len))
			return (int)i;
	if (r->accounts.len == RECORDING_PROBES_MAX)
		return damaged(e);
	vec_add(&r->accounts)->probe = xstrndup(name, len);
	return (int)r->accounts.len - 1;
}

/* What the recording's end says of a probe, beside what was read. */
static void account_take(struct account *a, const struct recording_account *told)
{
	a->kernel = (struct stats){ .seen = told->seen - told->missed,
				    .sent = told->rows,
				    .filtered = told->filtered,
				    .lost[LOSS_RING] = told->lost - told->missed,
				    .cut = told->cut,
				    .unresolved = told->unresolved,
				    .overflow = told->overflow };
	a->missed = told->missed;
}

static int end_take(struct recorded *r, const unsigned char *bytes, size_t len, struct err *e)
{
	const unsigned char *at = bytes, *end = bytes + len;

	while (at < end) {
		struct recording_account told;
		int place;

		if ((size_t)(end - at) < sizeof(told))
			return damaged(e);
		memcpy(&told, at, sizeof(told));
		at += sizeof(told);
		if (told.probe_bytes > NAME_MAX_BYTES ||
		    recording_padded((uint32_t)told.probe_bytes) > (size_t)(end - at))
			return damaged(e);
		place = account_place(r, (const char *)at, told.probe_bytes, e);
		if (place < 0)
			return place;
		account_take(&r->accounts.at[place], &told);
		at += recording_padded((uint32_t)told.probe_bytes);
	}
	r->told = r->ended = true;
	return 0;
}

/* --- schemas --- */

static int schema_take(struct recorded *r, const unsigned char *bytes, size_t len, struct err *e)
{
	auto_ptr(schema) schema = NULL;
	uint32_t derived = 0;
	size_t used;
	int err, place;

	r->schema_bytes += len;
	if (r->schema_bytes > RECORDING_SCHEMAS_MAX || r->schemas.len == RECORDING_PROBES_MAX)
		return fail(e, EINVAL, "has too many schemas");
	err = schema_decode(bytes, len, &schema, &used, e);
	if (err)
		return fail(e, EINVAL, "has a %s", e->text);
	place = account_place(r, schema->probe, strlen(schema->probe), e);
	if (place < 0)
		return place;
	for (size_t i = 0; i < schema->field_count; i++)
		derived += schema->fields[i].type == FIELD_DERIVED;
	vec_push(&r->derived, derived);
	vec_push(&r->schema_account, (size_t)place);
	vec_push(&r->schemas, TAKE_PTR(schema));
	vec_reserve(&r->row_values, derived);
	return 0;
}

/* --- items --- */

static int value_take(struct recorded *r, const unsigned char *body, uint32_t bytes, struct err *e)
{
	struct recording_value head;
	struct value v = { 0 };

	if (bytes < sizeof(head))
		return damaged(e);
	memcpy(&head, body, sizeof(head));
	body += sizeof(head);
	bytes -= (uint32_t)sizeof(head);
	v.type = (enum value_type)head.type;
	v.cut = head.cut;
	if (v.type == VALUE_TEXT)
		v = (struct value){ .type = VALUE_TEXT,
				    .cut = head.cut,
				    .text = { (const char *)body, bytes } };
	else if (v.type == VALUE_BYTES)
		v.bytes.at = body, v.bytes.len = bytes;
	else if (v.type == VALUE_BOOL && bytes == 1)
		v.boolean = *body;
	else if (v.type == VALUE_IP && bytes == sizeof(v.ip))
		memcpy(&v.ip, body, bytes);
	else if ((v.type == VALUE_U64 || v.type == VALUE_S64 || v.type == VALUE_DOUBLE) &&
		 bytes == sizeof(v.u64))
		memcpy(&v.u64, body, bytes);
	else
		return damaged(e);
	vec_push(&r->values, v);
	return 0;
}

/* The values that a row refers to; NULL when one isn't there. */
static const struct value *row_values(struct recorded *r, const unsigned char *refs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t ref;

		memcpy(&ref, refs + i * sizeof(ref), sizeof(ref));
		if (ref > r->values.len)
			return NULL;
		r->row_values.at[i] = ref ? r->values.at[ref - 1] : value_none();
	}
	return r->row_values.at;
}

/* The item as a row, which points into the block. */
static int row_take(struct recorded *r, const unsigned char *body, uint32_t bytes, struct row *row,
		    struct err *e)
{
	struct recording_row head;
	uint32_t refs_bytes;

	if (bytes < sizeof(head))
		return damaged(e);
	memcpy(&head, body, sizeof(head));
	if (head.schema >= r->schemas.len || head.derived != r->derived.at[head.schema])
		return damaged(e);
	refs_bytes = head.derived * (uint32_t)sizeof(uint32_t);
	if (refs_bytes > bytes - sizeof(head) || head.size != bytes - sizeof(head) - refs_bytes ||
	    head.size < r->schemas.at[head.schema]->size)
		return damaged(e);
	*row = (struct row){ .schema = r->schemas.at[head.schema],
			     .bytes = body + sizeof(head) + refs_bytes,
			     .size = head.size,
			     .cpu = head.cpu,
			     .seq = head.seq,
			     .at_ns = head.at_ns };
	if (head.derived) {
		row->derived = row_values(r, body + sizeof(head), head.derived);
		if (!row->derived)
			return damaged(e);
	}
	r->accounts.at[r->schema_account.at[head.schema]].received++;
	r->rows++;
	return 0;
}

static const struct value *text_at(const struct recorded *r, uint32_t ref)
{
	return ref && ref <= r->values.len && r->values.at[ref - 1].type == VALUE_TEXT
		       ? &r->values.at[ref - 1]
		       : NULL;
}

static int loss_take(struct recorded *r, const unsigned char *body, uint32_t bytes, struct err *e)
{
	const struct value *probe, *cause;
	char word[NAME_MAX_BYTES + 1];
	struct recording_loss loss;
	int place;

	if (bytes != sizeof(loss))
		return damaged(e);
	memcpy(&loss, body, sizeof(loss));
	probe = text_at(r, loss.probe);
	cause = text_at(r, loss.cause);
	if (!probe || !cause || !is_name(cause->text.s, cause->text.len))
		return damaged(e);
	place = account_place(r, probe->text.s, probe->text.len, e);
	if (place < 0)
		return place;
	memcpy(word, cause->text.s, cause->text.len);
	word[cause->text.len] = '\0';
	r->accounts.at[place].kernel.lost[LOSS_RING] += loss.count;
	if (r->on_loss)
		r->on_loss(r->accounts.at[place].probe, word, loss.count, loss.at_ns, r->loss_ctx);
	return 0;
}

/* The body of the next item, which is taken; NULL when it doesn't fit in the block. */
static const unsigned char *item_next(struct recorded *r, struct recording_item *item)
{
	const unsigned char *body = r->at + sizeof(*item);

	if ((size_t)(r->end - r->at) < sizeof(*item))
		return NULL;
	memcpy(item, r->at, sizeof(*item));
	if (item->bytes > RECORDING_BLOCK_MAX ||
	    recording_padded(item->bytes) > (size_t)(r->end - body))
		return NULL;
	r->at = body + recording_padded(item->bytes);
	return body;
}

/* Hands over the rows of the block, at most `limit`; adds how many to *n. */
static int items_take(struct recorded *r, unsigned limit, row_fn *fn, void *ctx, unsigned *n,
		      struct err *e)
{
	int err = 0, stop = 0;

	while (!err && !stop && *n < limit && r->at < r->end) {
		struct recording_item item;
		const unsigned char *body = item_next(r, &item);
		struct row row;

		if (!body)
			return damaged(e);
		if (item.type == ITEM_ROW) {
			err = row_take(r, body, item.bytes, &row, e);
			if (!err) {
				stop = fn(&row, ctx);
				(*n)++;
			}
		} else if (item.type == ITEM_VALUE) {
			err = value_take(r, body, item.bytes, e);
		} else {
			err = item.type == ITEM_LOSS ? loss_take(r, body, item.bytes, e)
						     : damaged(e);
		}
	}
	return err;
}

/* --- the stream --- */

/* Goes on to the next block. 1: it did; 0: not all of it has come yet. */
static int block_take(struct recorded *r, bool wait, struct err *e)
{
	const unsigned char *bytes;
	uint32_t type;
	size_t len;
	int err = blocks_next(r->blocks, wait, &type, &bytes, &len, e);

	if (err <= 0)
		return err;
	vec_clear(&r->values);
	r->at = r->end = bytes;
	if (type == BLOCK_SCHEMA)
		err = schema_take(r, bytes, len, e);
	else if (type == BLOCK_END)
		err = end_take(r, bytes, len, e);
	else
		r->end += len, err = 0;
	return err < 0 ? err : 1;
}

/* After the message there is nothing more. */
static int recorded_failed(struct recorded *r, struct err *e)
{
	r->ended = true;
	return fail(e, e->code, "recording '%s' %s: %llu rows read", r->name, e->text,
		    (unsigned long long)r->rows);
}

static int recorded_drain(struct stream *s, unsigned limit, row_fn *fn, void *ctx, struct err *e)
{
	struct recorded *r = recorded_of(s);
	unsigned n = 0;
	int err = 1;

	while (err > 0 && !n && limit) {
		if (r->at == r->end && r->ended)
			return 0;
		if (r->at == r->end)
			err = block_take(r, false, e);
		if (err > 0 && items_take(r, limit, fn, ctx, &n, e) < 0)
			err = -e->code;
	}
	return err < 0 ? recorded_failed(r, e) : (int)n;
}

static int recorded_poll_fd(struct stream *s)
{
	return blocks_fd(recorded_of(s)->blocks);
}

static bool recorded_ended(struct stream *s)
{
	struct recorded *r = recorded_of(s);

	return r->ended && r->at == r->end;
}

/* Until the end has told, what was read is what is known. */
static const struct account *recorded_accounts(struct stream *s, size_t *ret_count)
{
	struct recorded *r = recorded_of(s);

	vec_for_each(a, &r->accounts) {
		if (r->told)
			break;
		a->kernel.sent = a->received;
		a->kernel.seen = a->received + a->kernel.lost[LOSS_RING];
	}
	*ret_count = r->accounts.len;
	return r->accounts.at;
}

static void recorded_tell_losses(struct stream *s, loss_fn *fn, void *ctx)
{
	recorded_of(s)->on_loss = fn;
	recorded_of(s)->loss_ctx = ctx;
}

static const struct schema *const *recorded_schemas(struct stream *s, size_t *ret_count)
{
	struct recorded *r = recorded_of(s);

	*ret_count = r->schemas.len;
	return (const struct schema *const *)r->schemas.at;
}

static int64_t recorded_wall_offset(struct stream *s)
{
	return recorded_head(s)->wall_offset_ns;
}

static void recorded_free(struct stream *s)
{
	struct recorded *r = recorded_of(s);

	blocks_free(r->blocks);
	vec_for_each(schema, &r->schemas)
		schema_free(*schema);
	vec_for_each(a, &r->accounts)
		free((char *)(uintptr_t)a->probe);
	vec_done(&r->schemas);
	vec_done(&r->derived);
	vec_done(&r->schema_account);
	vec_done(&r->values);
	vec_done(&r->row_values);
	vec_done(&r->accounts);
	free(r->name);
	free(r);
}

static const struct stream_ops recorded_ops = {
	.drain = recorded_drain,
	.poll_fd = recorded_poll_fd,
	.ended = recorded_ended,
	.accounts = recorded_accounts,
	.tell_losses = recorded_tell_losses,
	.schemas = recorded_schemas,
	.wall_offset_ns = recorded_wall_offset,
	.free = recorded_free,
};

int recorded_open(const char *path, struct stream **ret, struct err *e)
{
	struct recorded *r = xnew(struct recorded);
	int err;

	assert(path && ret && e);
	r->stream.ops = &recorded_ops;
	r->name = xstrdup(path);
	err = blocks_open(path, &r->blocks, e);
	/* the schemas that stand before the first row */
	while (!err && r->at == r->end && !r->ended) {
		err = block_take(r, true, e);
		err = err > 0 ? 0 : err;
	}
	if (err == -ENODATA)
		err = 0; /* drain tells */
	if (!err) {
		*ret = &r->stream;
		return 0;
	}
	fail(e, e->code, "recording '%s' %s", path, e->text);
	recorded_free(&r->stream);
	return err;
}
