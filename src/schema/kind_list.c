/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds: arrays of numbers, bytes, and stacks. A stack is a list of addresses until it is symbolised:
 * then it is a text, frames with ';' between them, which no frame holds.
 */
#include "schema/kinds.h"
#include "schema/stack.h"

void list_text(struct strbuf *out, const struct field *f, struct value v)
{
	const char *name;
	struct value item;

	if (v.type != VALUE_LIST) {
		plain_text(out, f, v);
		return;
	}
	for (uint32_t i = 0; i < v.list.count; i++) {
		item = field_element(f, v, i);
		name = f->names ? names_get(f->names, item.u64) : NULL;
		if (i)
			strbuf_putc(out, ',');
		if (name)
			strbuf_puts(out, name);
		else
			plain_text(out, f, item);
	}
}

void list_json(struct json *out, const struct field *f, struct value v)
{
	const char *name;
	struct value item;

	if (v.type != VALUE_LIST) {
		plain_json(out, f, v);
		return;
	}
	json_arr_begin(out);
	for (uint32_t i = 0; i < v.list.count; i++) {
		item = field_element(f, v, i);
		name = f->names ? names_get(f->names, item.u64) : NULL;
		if (name)
			json_str(out, name);
		else
			plain_json(out, f, item);
	}
	json_arr_end(out);
}

void blob_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type != VALUE_BYTES) {
		plain_text(out, f, v);
		return;
	}
	for (uint32_t i = 0; i < v.bytes.len; i++)
		strbuf_hex(out, v.bytes.at[i], 2);
}

void blob_json(struct json *out, const struct field *f, struct value v)
{
	json_sep(out);
	strbuf_putc(out->out, '"');
	blob_text(out->out, f, v);
	strbuf_putc(out->out, '"');
}

void frame_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type != VALUE_TEXT) {
		plain_text(out, f, v);
		return;
	}
	for (uint32_t i = 0; i < v.text.len; i++)
		strbuf_hex(out, (unsigned char)v.text.s[i], 2);
}

void frame_json(struct json *out, const struct field *f, struct value v)
{
	if (v.type != VALUE_TEXT) {
		plain_json(out, f, v);
		return;
	}
	json_sep(out);
	strbuf_putc(out->out, '"');
	frame_text(out->out, f, v);
	strbuf_putc(out->out, '"');
}

/* The nth address; false at the end of the stack, which is the first 0. */
static bool stack_frame(const struct field *f, struct value v, uint32_t nth, uint64_t *ret_address)
{
	struct value item = field_element(f, v, nth);

	*ret_address = item.type == VALUE_NONE ? 0 : item.u64;
	return *ret_address != 0;
}

static void address_append(struct strbuf *out, uint64_t address)
{
	strbuf_append(out, "0x", 2);
	strbuf_hex(out, address, 1);
}

void stack_text(struct strbuf *out, const struct field *f, struct value v)
{
	uint64_t address;

	if (v.type == VALUE_TEXT) {
		struct frames frames = frames_of(v.text.s, v.text.len);

		strbuf_append(out, frames.at, (size_t)(frames.end - frames.at));
		return;
	}
	for (uint32_t i = 0; stack_frame(f, v, i, &address); i++) {
		if (i)
			strbuf_putc(out, ';');
		address_append(out, address);
	}
}

static void frames_json(struct json *out, struct value v)
{
	struct frames frames = frames_all(v.text.s, v.text.len);
	const char *frame;
	size_t len;

	while (frames_next(&frames, &frame, &len))
		json_bytes(out, frame, len);
}

void stack_json(struct json *out, const struct field *f, struct value v)
{
	uint64_t address;

	json_arr_begin(out);
	if (v.type == VALUE_TEXT)
		frames_json(out, v);
	for (uint32_t i = 0; v.type == VALUE_LIST && stack_frame(f, v, i, &address); i++) {
		json_sep(out);
		strbuf_putc(out->out, '"');
		address_append(out->out, address);
		strbuf_putc(out->out, '"');
	}
	json_arr_end(out);
}
