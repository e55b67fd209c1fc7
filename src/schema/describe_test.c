/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include <assert.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "schema/describe.h"
#include "schema/kind.h"

static const struct names_row colour_rows[] = { { 0, "red" }, { 7, "blue" } };
static const struct names colours = {
	.enum_name = "colour", .prefix = "COLOUR_", .at = colour_rows, .count = 2
};
static const uint64_t bounds[] = { 100, 500, 2000000000000 };

/* Every sort of field, as declaration_read() makes them. */
static void schema_make(struct schema *s, struct field *f)
{
	static const struct field made[] = {
		{ .name = "pid", .doc = "process", .type = FIELD_INT, .size = 4 },
		{ .name = "nice",
		  .type = FIELD_INT,
		  .offset = 4,
		  .size = 2,
		  .bits = 6,
		  .bit_offset = 4,
		  .is_signed = true,
		  .flags = FIELD_HIDE | FIELD_KEY,
		  .member = 3 },
		{ .name = "colour", .type = FIELD_ENUM, .offset = 8, .size = 4, .names = &colours },
		{ .name = "other", .type = FIELD_ENUM, .offset = 12, .size = 4, .names = &colours },
		{ .name = "path", .type = FIELD_TEXT, .offset = 16, .size = 8 },
		{ .name = "ports",
		  .type = FIELD_ARRAY,
		  .offset = 24,
		  .size = 6,
		  .count = 3,
		  .element_size = 2 },
		{ .name = "took_us",
		  .unit = "us",
		  .type = FIELD_HIST,
		  .offset = 32,
		  .size = 40,
		  .count = 4,
		  .hist = { .scale = HIST_BOUNDS, .slots = 4, .bounds = bounds } },
		{ .name = "exe", .type = FIELD_DERIVED },
	};

	static_assert(ARRAY_LEN(made) == 8, "as the caller's array");
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		f[i] = made[i];
		f[i].doc = made[i].doc ? made[i].doc : "";
		f[i].unit = made[i].unit ? made[i].unit : "";
		f[i].kind = kind_default(f[i].type, false);
	}
	f[0].kind = kind_find("pid");
	f[4].kind = kind_find("path");
	*s = (struct schema){ .probe = "t.t",
			      .name = "t",
			      .doc = "a doc",
			      .size = 72,
			      .fields = f,
			      .field_count = ARRAY_LEN(made) };
}

static void field_compare(const struct field *a, const struct field *b)
{
	CHECK_STR(a->name, b->name);
	CHECK_STR(a->doc, b->doc);
	CHECK_STR(a->unit, b->unit);
	CHECK(a->kind == b->kind);
	CHECK(a->type == b->type && a->flags == b->flags && a->member == b->member);
	CHECK(a->offset == b->offset && a->size == b->size);
	CHECK(a->bits == b->bits && a->bit_offset == b->bit_offset);
	CHECK(a->is_signed == b->is_signed && a->is_bool == b->is_bool);
	CHECK(a->element_size == b->element_size && a->count == b->count);
	CHECK(!a->names == !b->names);
	CHECK(a->hist.scale == b->hist.scale && a->hist.slots == b->hist.slots);
	for (uint32_t i = 0; a->hist.bounds && i + 1 < a->hist.slots; i++)
		CHECK_U64(a->hist.bounds[i], b->hist.bounds[i]);
}

TEST(a_schema_comes_back_as_it_was)
{
	auto_done(strbuf) bytes = { 0 };
	auto_ptr(schema) back = NULL;
	struct field fields[8];
	struct schema s;
	struct err e;
	size_t used;

	schema_make(&s, fields);
	schema_encode(&s, &bytes);
	strbuf_puts(&bytes, "what follows");
	REQUIRE(schema_decode(bytes.s, bytes.len, &back, &used, &e) == 0);
	CHECK_INT(used, bytes.len - strlen("what follows"));
	CHECK_STR(back->probe, "t.t");
	CHECK_STR(back->doc, "a doc");
	CHECK_INT(back->size, 72);
	REQUIRE(back->field_count == s.field_count);
	for (size_t i = 0; i < s.field_count; i++)
		field_compare(&back->fields[i], &s.fields[i]);
	CHECK_STR(names_get(back->fields[2].names, 7), "blue");
	CHECK(back->fields[2].names == back->fields[3].names);
}

/* Whatever byte is cut off or changed: an error, or a schema that can be read by. */
TEST(damaged_schemas_are_refused_or_harmless)
{
	auto_done(strbuf) bytes = { 0 };
	unsigned char row_bytes[72] = { 0 };
	struct row r = { .bytes = row_bytes, .size = sizeof(row_bytes) };
	struct field fields[8];
	struct schema s;
	struct err e;
	size_t used;

	schema_make(&s, fields);
	schema_encode(&s, &bytes);
	for (size_t len = 0; len < bytes.len; len++) {
		auto_ptr(schema) back = NULL;
		auto_free void *copy = xmemdup(bytes.s, len);

		CHECK_INT(schema_decode(copy, len, &back, &used, &e), -22);
	}
	for (size_t at = 0; at < bytes.len * 256; at++) {
		auto_ptr(schema) back = NULL;
		auto_free char *copy = xmemdup(bytes.s, bytes.len);

		copy[at / 256] = (char)at;
		if (schema_decode(copy, bytes.len, &back, &used, &e) < 0)
			continue;
		for (size_t i = 0; i < back->field_count; i++) {
			auto_done(strbuf) text = { 0 };

			value_text_form(&text, &back->fields[i], row_value(&r, &back->fields[i]));
		}
	}
}

/* A field whose size does not go with its type is refused, not left to its reader. */
TEST(fields_must_fit_their_type_and_their_struct)
{
	static const struct {
		size_t field;
		uint32_t size, offset, count;
	} wrong[] = {
		{ 0, 3, 0, 0 },  { 0, 4, 70, 0 }, { 1, 9, 4, 0 },
		{ 4, 7, 16, 0 }, { 5, 6, 24, 4 }, { 6, 40, 32, 5 },
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		auto_done(strbuf) bytes = { 0 };
		struct schema s, *back = NULL;
		struct field fields[8];
		struct err e;
		size_t used;

		schema_make(&s, fields);
		fields[wrong[i].field].size = wrong[i].size;
		fields[wrong[i].field].offset = wrong[i].offset;
		fields[wrong[i].field].count = wrong[i].count;
		fields[6].hist.slots = 4;
		schema_encode(&s, &bytes);
		CHECK_INT(schema_decode(bytes.s, bytes.len, &back, &used, &e), -22);
		schema_free(back);
	}
}
