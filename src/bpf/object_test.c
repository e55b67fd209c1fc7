/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects before loading: the compiled probes of this tree, and corrupted copies of them. */
#include "bpf/object.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "bpf/types.h"

/* The bytes of a compiled object; NULL when they weren't built. */
static char *object_bytes(const char *dir_variable, const char *name, size_t *ret_size)
{
	const char *dir = getenv(dir_variable);
	char path[512], *bytes = NULL;
	struct err e = { 0 };

	if (!dir || !str_format(path, sizeof(path), "%s/%s", dir, name) ||
	    file_read(path, &bytes, ret_size, &e) < 0)
		TEST_FAULT("%s of %s: %s", name, dir_variable, e.text);
	return bytes;
}

static struct object *object_of(const char *bytes, size_t size)
{
	struct object *o = NULL;
	struct err e = { 0 };

	if (object_open("test", bytes, size, &o, &e) < 0)
		TEST_FAULT("refused: %s", e.text);
	return o;
}

TEST(what_a_probe_holds)
{
	size_t size;
	auto_free char *bytes = object_bytes("SONDA_OBJECTS", "fs.open.bpf.o", &size);
	auto_ptr(object) o = bytes ? object_of(bytes, size) : NULL;
	struct object_map map;
	struct type type;

	REQUIRE(o);
	CHECK_STR(types_tag(object_types(o), object_probe_var(o), -1, "probe", 0), "open");
	REQUIRE(object_map_find(o, "opens", &map));
	CHECK(types_tag(object_types(o), map.var, -1, "metrics", 0) != NULL);
	REQUIRE(types_get_resolved(object_types(o), map.key_type, &type));
	CHECK_INT(type.size, map.key_size);
	CHECK(object_program_count(o) > 0);
	CHECK(object_slot_count(o) > 0);
	CHECK_INT(object_map_fd(o, "opens"), -1); /* nothing is loaded */
}

TEST(variables_are_set_and_checked)
{
	size_t size;
	auto_free char *bytes = object_bytes("SONDA_TEST_OBJECTS", "language.bpf.o", &size);
	auto_ptr(object) o = bytes ? object_of(bytes, size) : NULL;
	struct conf *conf = o ? object_conf(o) : NULL;
	struct object_var v;
	struct err e = { 0 };

	REQUIRE(conf);
	conf->self = 42;
	REQUIRE(object_var_find(o, "sonda_conf", &v));
	CHECK_INT(((const struct conf *)v.bytes)->self, 42);
	CHECK_INT(object_var_set(o, "sonda_conf", &e, 1, &e), -EINVAL);
	CHECK_INT(object_var_set(o, "no_such", &e, 1, &e), -ENOENT);
	CHECK_HAS(e.text, "no_such");
	CHECK_INT(object_map_resize(o, "no_such", 1, &e), -ENOENT);
	CHECK_INT(object_map_resize(o, "sonda_ring", 5000, &e), 0);
}

TEST(integers_must_fit)
{
	size_t size;
	auto_free char *bytes = object_bytes("SONDA_TEST_OBJECTS", "language.bpf.o", &size);
	auto_ptr(object) o = bytes ? object_of(bytes, size) : NULL;
	struct err e = { 0 };
	unsigned tried = 0;

	REQUIRE(o);
	for (size_t i = 0; i < object_var_count(o); i++) {
		struct object_var v;

		object_var(o, i, &v);
		if (v.size != 4 || !types_tag(object_types(o), v.var, -1, "param", 0))
			continue;
		tried++;
		CHECK_INT(object_var_set_u64(o, v.name, UINT32_MAX, &e), 0);
		CHECK_INT(object_var_set_u64(o, v.name, 1ull << 32, &e), -ERANGE);
		CHECK_INT(object_var_set_s64(o, v.name, -1, &e), 0);
		CHECK_MEM(v.bytes, "\xff\xff\xff\xff", 4);
		CHECK_INT(object_var_set_s64(o, v.name, INT32_MIN, &e), 0);
		CHECK_INT(object_var_set_s64(o, v.name, INT32_MIN - 1ll, &e), -ERANGE);
		CHECK_INT(object_var_set_s64(o, v.name, 1ll << 31, &e), -ERANGE);
	}
	CHECK(tried > 0);
}

TEST(no_object_at_all)
{
	static const char *const texts[] = { "x", "\177ELF", "#!/bin/sh\n" };
	struct object *o = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CHECK_INT(object_open("test", texts[i], strlen(texts[i]), &o, &e), -EINVAL);
		CHECK_HAS(e.text, "'test'");
	}
	CHECK_INT(object_open_file("/no/such/file", &o, &e), -ENOENT);
	CHECK_INT(object_open_file("/proc/self/status", &o, &e), -EINVAL);
	CHECK(!o);
}

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Everything a reader would ask, so that the sanitizers see a read outside. */
static void object_walk(struct object *o)
{
	volatile unsigned char sink = 0;

	for (size_t i = 0; i < object_var_count(o); i++) {
		struct object_var v;

		object_var(o, i, &v);
		for (uint32_t k = 0; k < v.size; k++)
			sink ^= ((const unsigned char *)v.bytes)[k];
	}
	for (size_t i = 0; i < object_program_count(o); i++) {
		struct object_program p;

		object_program(o, i, &p);
		sink ^= (unsigned char)p.hook[0] ^ (unsigned char)p.slot[0];
	}
	for (size_t i = 0; i < object_map_count(o); i++) {
		struct object_map m;

		object_map(o, i, &m);
		sink ^= (unsigned char)types_size(object_types(o), m.key_type);
	}
}

/* Bytes changed here and there: refused or read, never a crash. The numbers repeat. */
TEST(corrupted_copies)
{
	size_t size;
	auto_free char *bytes = object_bytes("SONDA_OBJECTS", "fs.open.bpf.o", &size);
	unsigned opened = 0, refused = 0;

	REQUIRE(bytes);
	for (int round = 0; round < 150; round++) {
		auto_free char *copy = xmemdup(bytes, size);
		size_t cut = round % 10 ? size : random_next() % size;
		auto_ptr(object) o = NULL;
		struct err e = { 0 };

		for (unsigned i = 0; i < 1u + round % 20; i++)
			copy[random_next() % size] = (char)random_next();
		if (object_open("test", copy, cut, &o, &e) < 0) {
			CHECK(e.text[0]);
			refused++;
			continue;
		}
		object_walk(o);
		opened++;
	}
	CHECK(opened && refused);
}
