/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include <sys/socket.h>

#include "schema/schema.h"

static struct field int_field(uint32_t offset, uint32_t size, bool is_signed)
{
	return (struct field){ .name = "n",
			       .type = FIELD_INT,
			       .offset = offset,
			       .size = size,
			       .is_signed = is_signed };
}

static struct row row_of(const void *bytes, uint32_t size)
{
	return (struct row){ .bytes = bytes, .size = size };
}

TEST(numbers_of_every_size_and_sign)
{
	static const unsigned char bytes[] = { 0xff, 0xfe, 0xff, 0xff, 0xfd, 0xff, 0xff, 0xff,
					       0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const struct {
		uint32_t offset, size;
		uint64_t as_unsigned;
		int64_t as_signed;
	} want[] = {
		{ 0, 1, 0xff, -1 },           { 1, 2, 0xfffe, -2 },   { 4, 4, 0xfffffffd, -3 },
		{ 8, 8, UINT64_MAX - 3, -4 }, { 5, 3, 0xffffff, -1 },
	};
	struct row r = row_of(bytes, sizeof(bytes));

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct field u = int_field(want[i].offset, want[i].size, false);
		struct field s = int_field(want[i].offset, want[i].size, true);

		CHECK_INT(row_value(&r, &u).type, VALUE_U64);
		CHECK_U64(row_value(&r, &u).u64, want[i].as_unsigned);
		CHECK_INT(row_value(&r, &s).type, VALUE_S64);
		CHECK_INT(row_value(&r, &s).s64, want[i].as_signed);
	}
}

TEST(ratios_stay_within_their_bounds)
{
	static const struct {
		uint64_t part, whole;
		bool rest;
		double share; /* -1: none */
	} want[] = {
		{ 1, 4, false, 0.25 }, { 1, 4, true, 0.75 },
		{ 0, 4, true, 1 },     { 5, 4, false, 1 },
		{ 5, 4, true, 0 },     { 0, 0, false, -1 },
		{ 3, 0, true, -1 },    { UINT64_MAX, UINT64_MAX, false, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const uint64_t words[] = { want[i].whole, want[i].part };
		struct row r = row_of(words, sizeof(words)), cut = row_of(words, 15);
		struct field f = { .type = FIELD_RATIO, .ratio = { 8, 0, want[i].rest } };
		struct value v = row_value(&r, &f);

		CHECK_INT(v.type, want[i].share < 0 ? VALUE_NONE : VALUE_DOUBLE);
		CHECK(v.type == VALUE_NONE || v.dbl == want[i].share);
		CHECK_INT(row_value(&cut, &f).type, VALUE_NONE);
		f.ratio.whole = UINT32_MAX;
		CHECK_INT(row_value(&r, &f).type, VALUE_NONE);
	}
}

TEST(bit_fields_signed_and_across_bytes)
{
	struct {
		uint32_t low : 3, urgent : 1;
		int32_t nice : 6;
		uint32_t rest : 22;
	} bits = { .low = 5, .urgent = 1, .nice = -20, .rest = 0x2bcdef };
	struct row r = row_of(&bits, sizeof(bits));
	struct field low = int_field(0, 1, false), nice = int_field(0, 2, true);
	struct field rest = int_field(1, 3, false);

	low.bits = 3;
	nice.bits = 6;
	nice.bit_offset = 4;
	rest.bits = 22;
	rest.bit_offset = 2;
	CHECK_U64(row_value(&r, &low).u64, 5);
	CHECK_INT(row_value(&r, &nice).s64, -20);
	CHECK_U64(row_value(&r, &rest).u64, 0x2bcdef);
}

TEST(a_short_record_lacks_its_last_fields_only)
{
	uint32_t numbers[2] = { 7, 8 };
	struct row r = row_of(numbers, 7);
	struct field first = int_field(0, 4, false), second = int_field(4, 4, false);
	struct field far = int_field(UINT32_MAX, 4, false), large = int_field(4, UINT32_MAX, false);

	CHECK_U64(row_value(&r, &first).u64, 7);
	CHECK_INT(row_value(&r, &second).type, VALUE_NONE);
	CHECK_INT(row_value(&r, &far).type, VALUE_NONE);
	CHECK_INT(row_value(&r, &large).type, VALUE_NONE);
}

/* A row of its exact size on the heap, so that the sanitizer sees a byte too many. */
static struct value text_of(uint32_t at, uint32_t size, const char *behind)
{
	struct field f = { .name = "t", .type = FIELD_TEXT, .size = sizeof(struct text) };
	struct text t = { at, size };
	size_t len = sizeof(t) + strlen(behind) + 1;
	static unsigned char *bytes;
	struct row r;

	free(bytes);
	bytes = malloc(len);
	memcpy(bytes, &t, sizeof(t));
	memcpy(bytes + sizeof(t), behind, strlen(behind) + 1);
	r = row_of(bytes, (uint32_t)len);
	return row_value(&r, &f);
}

TEST(texts_wherever_they_claim_to_be)
{
	struct value v = text_of(8, 5, "hello");

	CHECK_INT(v.type, VALUE_TEXT);
	CHECK(v.text.len == 5 && !memcmp(v.text.s, "hello", 5) && !v.cut);
	v = text_of(8, 5 | TEXT_CUT, "hello");
	CHECK(v.text.len == 5 && v.cut);
	v = text_of(10, 1000, "hello");
	CHECK(v.text.len == 4 && !memcmp(v.text.s, "llo", 4) && v.cut);
	v = text_of(8, 0, "");
	CHECK(v.type == VALUE_TEXT && v.text.len == 0);
	CHECK_INT(text_of(0, 5, "hello").type, VALUE_NONE);
	CHECK_INT(text_of(UINT32_MAX, 5, "hello").type, VALUE_NONE);
	CHECK_INT(text_of(1000, UINT32_MAX, "hello").type, VALUE_NONE);
	CHECK_INT((int)text_of(8, UINT32_MAX, "hello").text.len, 6);
}

TEST(char_arrays_end_at_the_nul_or_are_full)
{
	static const char bytes[8] = { 'a', 'b', 0, 'x', 'c', 'd', 'e', 'f' };
	struct row r = row_of(bytes, sizeof(bytes));
	struct field short_one = { .name = "c", .type = FIELD_CHARS, .size = 4 };
	struct field full = { .name = "c", .type = FIELD_CHARS, .offset = 4, .size = 4 };

	CHECK_INT(row_value(&r, &short_one).text.len, 2);
	CHECK_INT(row_value(&r, &full).text.len, 4);
}

TEST(addresses_need_a_family_and_no_alignment)
{
	unsigned char bytes[1 + sizeof(struct ip)] = { 0 };
	struct ip ip = { .bytes = { 127, 0, 0, 1 }, .family = AF_INET };
	struct field f = { .name = "ip", .type = FIELD_IP, .offset = 1, .size = sizeof(struct ip) };
	struct row r = row_of(bytes, sizeof(bytes));

	CHECK_INT(row_value(&r, &f).type, VALUE_NONE);
	memcpy(bytes + 1, &ip, sizeof(ip));
	CHECK_INT(row_value(&r, &f).type, VALUE_IP);
	CHECK_INT(row_value(&r, &f).ip.bytes[0], 127);
}

TEST(arrays_and_their_elements)
{
	int32_t numbers[2] = { -3, 4 };
	struct row r = row_of(numbers, sizeof(numbers));
	struct field f = { .name = "a",
			   .type = FIELD_ARRAY,
			   .size = 8,
			   .element_size = 4,
			   .count = 2,
			   .is_signed = true };
	struct value list = row_value(&r, &f);

	CHECK_INT(list.type, VALUE_LIST);
	CHECK_INT(field_element(&f, list, 0).s64, -3);
	CHECK_INT(field_element(&f, list, 1).s64, 4);
	CHECK_INT(field_element(&f, list, 2).type, VALUE_NONE);
	f.count = 3;
	CHECK_INT(row_value(&r, &f).type, VALUE_NONE);
}

static struct value twice(const struct field *f, const struct row *r, void *ctx)
{
	(void)f;
	return value_u64(2 * row_value(r, ctx).u64);
}

TEST(derived_fields_come_after_the_own_ones)
{
	static const struct field own[] = {
		{ .name = "pid", .doc = "", .unit = "", .type = FIELD_INT, .size = 4 },
	};
	const struct schema base = {
		.probe = "t.t", .name = "t", .doc = "", .size = 4, .fields = own, .field_count = 1
	};
	const struct field extra[] = {
		{ .name = "double", .derive = twice, .derive_ctx = (void *)(uintptr_t)own },
		{ .name = "pid", .derive = twice, .derive_ctx = (void *)(uintptr_t)own },
		{ .name = "again", .derive = twice, .derive_ctx = (void *)(uintptr_t)own },
	};
	auto_ptr(schema) s = schema_extend(&base, extra, ARRAY_LEN(extra));
	struct value recorded[] = { value_u64(1), value_text("two", 3) };
	uint32_t pid = 21;
	struct row r = row_of(&pid, sizeof(pid));

	CHECK_INT(s->field_count, 3);
	CHECK_U64(row_value(&r, schema_field(s, "pid")).u64, 21);
	CHECK_U64(row_value(&r, schema_field(s, "double")).u64, 42);
	CHECK_U64(row_value(&r, schema_field(s, "again")).u64, 42);
	r.derived = recorded;
	CHECK_U64(row_value(&r, schema_field(s, "double")).u64, 1);
	CHECK_INT(row_value(&r, schema_field(s, "again")).type, VALUE_TEXT);
	CHECK(!schema_field(s, "none"));
}

TEST(a_field_is_shown_in_a_copy)
{
	static const struct field own[] = {
		{ .name = "pid", .flags = FIELD_HIDE | FIELD_KEY },
		{ .name = "tid", .flags = FIELD_HIDE },
	};
	const struct schema base = { .probe = "t.t", .name = "t", .fields = own, .field_count = 2 };
	auto_ptr(schema) s = schema_extend(&base, NULL, 0);

	schema_show(s, "pid");
	CHECK_INT(schema_field(s, "pid")->flags, FIELD_KEY);
	CHECK_INT(schema_field(s, "tid")->flags, FIELD_HIDE);
	CHECK_INT(own[0].flags, FIELD_HIDE | FIELD_KEY);
}
