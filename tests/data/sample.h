/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* An event with a field of most kinds, and rows of it made by hand: for unit tests and fuzzers. */
#include "base/attr.h"
#include "schema/kind.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sample {
	uint32_t pid, uid;
	int32_t err;
	uint32_t flags;
	uint64_t took_ns;
	uint64_t size_bytes;
	char comm[16];
	struct text path, argv;
	struct ip dst;
	uint32_t op;
	uint8_t ok;
	uint8_t mask; /* two bit-fields: low 3 bits, high 5 signed */
	uint16_t port;
	uint16_t ports[4];
	int64_t delta;
	char texts[4096]; /* behind the struct */
	uint32_t texts_len;
};
#define SAMPLE_SIZE ((uint32_t)offsetof(struct sample, texts))

static const struct names_row sample_op_rows[] = { { 1, "read" }, { 2, "write" }, { 7, "flush" } };
static const struct names sample_ops = {
	.enum_name = "op", .prefix = "OP_", .at = sample_op_rows, .count = 3
};

#define SAMPLE(id, t, ...)                                                      \
	{                                                                       \
		.name = #id, .doc = "", .unit = "", .type = t,                  \
		.offset = (uint32_t)offsetof(struct sample, id),                \
		.size = (uint32_t)sizeof(((struct sample *)0)->id), __VA_ARGS__ \
	}

/* The schema; the kinds are found the first time. Its last field is derived. */
static inline const struct schema *sample_schema(void)
{
	static struct field f[] = {
		SAMPLE(pid, FIELD_INT),
		SAMPLE(uid, FIELD_INT, .flags = FIELD_HIDE),
		SAMPLE(err, FIELD_INT, .is_signed = true),
		SAMPLE(flags, FIELD_INT),
		SAMPLE(took_ns, FIELD_INT),
		SAMPLE(size_bytes, FIELD_INT),
		SAMPLE(comm, FIELD_CHARS),
		SAMPLE(path, FIELD_TEXT),
		SAMPLE(argv, FIELD_TEXT),
		SAMPLE(dst, FIELD_IP),
		SAMPLE(op, FIELD_ENUM, .names = &sample_ops),
		SAMPLE(ok, FIELD_INT, .is_bool = true),
		SAMPLE(mask, FIELD_INT, .bits = 5, .bit_offset = 3, .is_signed = true),
		SAMPLE(port, FIELD_INT),
		SAMPLE(ports, FIELD_ARRAY, .count = 4, .element_size = 2),
		SAMPLE(delta, FIELD_INT, .is_signed = true),
		{ .name = "user", .doc = "", .unit = "", .type = FIELD_DERIVED },
	};
	static const char *const kinds[ARRAY_LEN(f)] = {
		"pid", "uid",  "errno", "open_flags", "duration", "bytes", "comm",   "path", "argv",
		"ip",  "enum", "bool",  "number",     "port",     "list",  "number", "str",
	};
	static const struct schema s = { .probe = "test.sample",
					 .name = "sample",
					 .doc = "",
					 .size = SAMPLE_SIZE,
					 .fields = f,
					 .field_count = ARRAY_LEN(f) };

	for (size_t i = 0; i < ARRAY_LEN(f) && !f[i].kind; i++)
		f[i].kind = kind_find(kinds[i]);
	f[4].unit = "ns";
	f[5].unit = "bytes";
	return &s;
}

/* Puts a text behind the struct. */
static inline void sample_text(struct sample *s, struct text *t, const char *bytes, size_t len)
{
	t->at = SAMPLE_SIZE + s->texts_len;
	t->size = (uint32_t)len;
	memcpy(s->texts + s->texts_len, bytes, len);
	s->texts_len += (uint32_t)len + 1;
}

/* One that opened /etc/passwd for curl. */
static inline void sample_fill(struct sample *s)
{
	*s = (struct sample){ .pid = 4242,
			      .uid = 1000,
			      .err = -2,
			      .flags = 02000000 | 0100 | 1,
			      .took_ns = 1240000,
			      .size_bytes = 8192,
			      .comm = "curl",
			      .dst = { .bytes = { 10, 1, 2, 3 }, .family = 2 },
			      .op = 2,
			      .ok = 1,
			      .mask = 0xf5,
			      .port = 443,
			      .ports = { 1, 22, 443, 65535 },
			      .delta = -5 };
	sample_text(s, &s->path, "/etc/passwd", 11);
	sample_text(s, &s->argv, "curl\0-s\0a b", 11);
}

static inline struct row sample_row(const struct sample *s, const struct value *derived)
{
	return (struct row){ .schema = sample_schema(),
			     .bytes = (const unsigned char *)s,
			     .size = SAMPLE_SIZE + s->texts_len,
			     .cpu = 1,
			     .seq = 7,
			     .at_ns = 1000000000123ULL,
			     .derived = derived };
}
