/* SPDX-License-Identifier: BSD-2-Clause */
/* The BTF reader, on BTF made by hand here, on the compiled probes, and on corrupted copies. */
#include "bpf/types.h"

#include <errno.h>

#include <linux/btf.h>

#include "base/err.h"
#include "base/test.h"

/* One of everything that matters:
 *	1 int  2 struct thing { int a; int:3 b; struct { int c } }  3 anonymous struct
 *	4 typedef num -> const -> int (5)  6 var v of num  7 .rodata { v }  8 enum  9.. tags */
struct sample {
	struct btf_header h;
	uint32_t types[85];
	char strings[96];
};

static const char sample_strings[] = "\0int\0thing\0a\0b\0c\0num\0v\0.rodata\0ONE\0MINUS\0"
				     "@doc A thing\0@key\0@doc twice\0plain";

static uint32_t string_of(const char *s)
{
	for (uint32_t i = 0; i < sizeof(sample_strings);
	     i += (uint32_t)strlen(sample_strings + i) + 1)
		if (!strcmp(sample_strings + i, s))
			return i;
	abort();
}

#define INFO(kind, vlen, flag) ((uint32_t)(flag) << 31 | (uint32_t)(kind) << 24 | (vlen))

static size_t sample_make(struct sample *s)
{
	const uint32_t types[] = {
		string_of("int"),
		INFO(BTF_KIND_INT, 0, 0),
		4,
		BTF_INT_SIGNED << 24 | 32,
		string_of("thing"),
		INFO(BTF_KIND_STRUCT, 3, 1),
		12,
		string_of("a"),
		1,
		0,
		string_of("b"),
		1,
		3 << 24 | 32,
		0,
		3,
		64,
		0,
		INFO(BTF_KIND_STRUCT, 1, 0),
		4,
		string_of("c"),
		1,
		0,
		string_of("num"),
		INFO(BTF_KIND_TYPEDEF, 0, 0),
		5,
		0,
		INFO(BTF_KIND_CONST, 0, 0),
		1,
		string_of("v"),
		INFO(BTF_KIND_VAR, 0, 0),
		4,
		1,
		string_of(".rodata"),
		INFO(BTF_KIND_DATASEC, 1, 0),
		8,
		6,
		4,
		4,
		0,
		INFO(BTF_KIND_ENUM, 2, 1),
		4,
		string_of("ONE"),
		1,
		string_of("MINUS"),
		(uint32_t)-1,
		string_of("@doc A thing"),
		INFO(BTF_KIND_DECL_TAG, 0, 0),
		2,
		(uint32_t)-1,
		string_of("@key"),
		INFO(BTF_KIND_DECL_TAG, 0, 0),
		2,
		1,
		string_of("@doc twice"),
		INFO(BTF_KIND_DECL_TAG, 0, 0),
		2,
		(uint32_t)-1,
		string_of("plain"),
		INFO(BTF_KIND_DECL_TAG, 0, 0),
		2,
		(uint32_t)-1,
	};

	memset(s, 0, sizeof(*s));
	s->h = (struct btf_header){ .magic = BTF_MAGIC, .version = BTF_VERSION };
	s->h.hdr_len = sizeof(s->h);
	s->h.type_len = sizeof(types);
	s->h.str_off = sizeof(s->types);
	s->h.str_len = sizeof(sample_strings);
	memcpy(s->types, types, sizeof(types));
	memcpy(s->strings, sample_strings, sizeof(sample_strings));
	return sizeof(*s);
}

static struct types *sample_types(void)
{
	struct types *t = NULL;
	struct sample s;
	struct err e = { 0 };
	size_t size = sample_make(&s);

	if (types_new(&s, size, false, &t, &e) < 0)
		TEST_FAULT("refused: %s", e.text);
	return t;
}

TEST(ids_and_kinds)
{
	auto_ptr(types) t = sample_types();
	struct type type;

	REQUIRE(t);
	CHECK_INT(types_count(t), 13);
	CHECK(!types_get(t, 0, &type));
	CHECK(!types_get(t, 13, &type));
	CHECK_INT(types_find(t, "thing", TYPE_STRUCT), 2);
	CHECK_INT(types_find(t, "thing", TYPE_UNION), 0);
	REQUIRE(types_get(t, 1, &type));
	CHECK(type.is_signed);
	CHECK_INT(type.bits, 32);
}

TEST(members_with_bits)
{
	auto_ptr(types) t = sample_types();
	struct type_member m;
	struct type type;

	REQUIRE(t && types_get(t, 2, &type));
	REQUIRE(types_member(t, &type, 1, &m));
	CHECK_STR(m.name, "b");
	CHECK_INT(m.offset_bits, 32);
	CHECK_INT(m.bits, 3);
	CHECK(!types_member(t, &type, 3, &m));
	REQUIRE(types_member_named(t, &type, "c", &m));
	CHECK_INT(m.offset_bits, 64);
	CHECK(!types_member_named(t, &type, "d", &m));
}

TEST(typedefs_sections_enums)
{
	auto_ptr(types) t = sample_types();
	struct type_enum value;
	struct type_var var;
	struct type type;

	REQUIRE(t);
	CHECK_INT(types_resolve(t, 4), 1);
	CHECK_INT(types_size(t, 6), 4);
	REQUIRE(types_get(t, types_find(t, ".rodata", TYPE_SECTION), &type));
	REQUIRE(types_var(t, &type, 0, &var));
	CHECK_STR(var.name, "v");
	CHECK_INT(var.offset, 4);
	REQUIRE(types_get(t, 8, &type) && types_enum(t, &type, 1, &value));
	CHECK_STR(value.name, "MINUS");
	CHECK_INT(value.value, -1);
}

TEST(tags)
{
	auto_ptr(types) t = sample_types();

	REQUIRE(t);
	CHECK_STR(types_tag(t, 2, -1, "doc", 0), "A thing");
	CHECK_STR(types_tag(t, 2, -1, "doc", 1), "twice");
	CHECK_STR(types_tag(t, 2, -1, "doc", 2), NULL);
	CHECK_STR(types_tag(t, 2, 1, "key", 0), "");
	CHECK_STR(types_tag(t, 2, 1, "ke", 0), NULL);
	CHECK_STR(types_tag_nth(t, 2, -1, 1), "doc twice");
	CHECK_STR(types_tag_nth(t, 2, -1, 2), NULL); /* "plain" isn't ours */
}

/* Asks everything of every type, as a careless caller would. */
static void types_walk(const struct types *t)
{
	struct type_member m;
	struct type_enum value;
	struct type_var var;
	struct type type;

	for (uint32_t id = 0; id < types_count(t) + 2; id++) {
		(void)!types_size(t, id);
		(void)!types_tag(t, id, -1, "doc", 0);
		if (!types_get(t, id, &type))
			continue;
		(void)!types_member_named(t, &type, "no such name", &m);
		for (uint32_t i = 0; i < type.count && i < 100000; i++)
			if (!types_member(t, &type, i, &m) && !types_enum(t, &type, i, &value) &&
			    !types_var(t, &type, i, &var))
				break;
	}
}

TEST(every_byte_corrupted)
{
	struct sample s;
	size_t size = sample_make(&s);
	unsigned read = 0, refused = 0;

	for (size_t at = 0; at < size; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct sample copy = s;
			auto_ptr(types) t = NULL;
			struct err e = { 0 };

			((unsigned char *)&copy)[at] ^= (unsigned char)(1u << bit);
			if (types_new(&copy, size, false, &t, &e) < 0) {
				refused++;
				CHECK(e.text[0]);
				continue;
			}
			read++;
			types_walk(t);
		}
	}
	CHECK(read && refused);
}

TEST(cut_off_anywhere)
{
	struct sample s;
	size_t size = sample_make(&s);

	for (size_t cut = 0; cut < sizeof(s.h) + s.h.str_off + s.h.str_len; cut++) {
		auto_ptr(types) t = NULL;
		struct err e = { 0 };

		CHECK_INT(types_new(&s, cut, false, &t, &e), -EINVAL);
	}
	(void)size;
}

/* struct { struct itself, 60 times; }: a naive search for a member would take for ever. */
TEST(a_struct_within_itself_ends)
{
	uint32_t words[6 + 3 + 60 * 3 + 1] = { 0 };
	struct btf_header h = { .magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(h) };
	auto_ptr(types) t = NULL;
	struct type_member m;
	struct type type;
	struct err e = { 0 };

	h.type_len = (3 + 60 * 3) * 4;
	h.str_off = h.type_len;
	h.str_len = 4;
	memcpy(words, &h, sizeof(h));
	words[7] = INFO(BTF_KIND_STRUCT, 60, 0);
	for (int i = 0; i < 60; i++)
		words[9 + i * 3 + 1] = 1;
	REQUIRE(!types_new(words, sizeof(words), false, &t, &e));
	REQUIRE(types_get(t, 1, &type));
	CHECK(!types_member_named(t, &type, "x", &m));
}
