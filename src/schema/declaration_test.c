/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "bpf/object.h"
#include "schema/declaration.h"
#include "schema/describe.h"
#include "schema/kind.h"

#include <unistd.h>

/* Of a test object; NULL when it isn't built. */
static char *object_path(const char *name)
{
	const char *dir = getenv("SONDA_TEST_OBJECTS");

	return xasprintf("%s/%s.bpf.o", dir ? dir : "build/test-probes", name);
}

static int read_bytes(const void *bytes, size_t len, struct declaration **ret, struct err *e)
{
	auto_ptr(object) o = NULL;

	if (object_open("test", bytes, len, &o, e) < 0)
		return -e->code;
	return declaration_read(o, "mine", ret, e);
}

static int read_object(const char *name, struct declaration **ret, struct err *e)
{
	auto_free char *path = object_path(name), *bytes = NULL;
	size_t len;

	if (file_read(path, &bytes, &len, e) < 0)
		return -e->code;
	return read_bytes(bytes, len, ret, e);
}

static const struct declaration *language(void)
{
	static struct declaration *d;
	struct err e;

	if (!d && read_object("language", &d, &e) < 0)
		TEST_FAULT("%s", e.text);
	return d;
}

TEST(the_probe_itself)
{
	const struct declaration *d = language();

	REQUIRE(d);
	CHECK_STR(d->name, "test.language");
	CHECK_STR(d->group, "test");
	CHECK_STR(d->doc, "Every word of the language");
	CHECK_STR(d->filters, "task errors min=0ns tables");
	CHECK(d->min_for_tables);
	CHECK(!d->internal);
	CHECK(d->event_count == 1 && d->row_count == 1 && d->table_count == 2);
	CHECK_STR(d->rows[0].name, "language_row");
	CHECK_STR(d->events[0].doc, "One of everything");
}

static const struct param *param_of(const struct declaration *d, const char *name)
{
	for (size_t i = 0; i < d->param_count; i++)
		if (!strcmp(d->params[i].field.name, name))
			return &d->params[i];
	TEST_FAULT("no parameter '%s'", name);
	return &d->params[0];
}

TEST(parameters_with_their_defaults)
{
	const struct declaration *d = language();
	const struct param *p;

	REQUIRE(d && d->param_count == 7);
	p = param_of(d, "depth");
	CHECK(p->type == PARAM_INT && p->has_range && p->low == 1 && p->high == 16);
	CHECK_U64(p->initial.u64, 4);
	CHECK_STR(p->field.doc, "levels shown");
	p = param_of(d, "loud");
	CHECK(p->type == PARAM_BOOL && p->initial.boolean);
	CHECK_INT(param_of(d, "least")->initial.s64, -5);
	p = param_of(d, "paint");
	CHECK(p->type == PARAM_ENUM && p->initial.u64 == 1 && p->field.names->count == 3);
	p = param_of(d, "patience");
	CHECK_STR(p->field.unit, "ns");
	CHECK_U64(p->initial.u64, 2000000);
	p = param_of(d, "port");
	CHECK(p->type == PARAM_LIST && p->field.count == 4 && p->field.element_size == 2);
	CHECK(p->has_range && p->low == 1 && p->high == 65535);
	CHECK(p->initial.type == VALUE_LIST && p->initial.list.count == 2);
	CHECK_U64(field_element(&p->field, p->initial, 1).u64, 5353);
	p = param_of(d, "prefix");
	CHECK(p->type == PARAM_CHARS && p->field.size == 16);
	CHECK(p->initial.text.len == 4 && !memcmp(p->initial.text.s, "/tmp", 4));
}

/* name, kind, unit, offset in the struct, size, type */
TEST(fields_of_an_event)
{
	static const struct {
		const char *name, *kind, *unit;
		uint32_t offset, size;
		enum field_type type;
		unsigned flags, member;
	} want[] = {
		{ "pid", "pid", "", 0, 4, FIELD_INT, 0, 0 },
		{ "start_ns", "boottime", "ns", 24, 8, FIELD_INT, FIELD_HIDE, 0 },
		{ "comm", "comm", "", 32, 16, FIELD_CHARS, 0, 0 },
		{ "parent_pid", "pid", "", 48, 4, FIELD_INT, FIELD_HIDE, 1 },
		{ "parent_comm", "comm", "", 80, 16, FIELD_CHARS, FIELD_HIDE, 1 },
		{ "inode", "inode", "", 96, 8, FIELD_INT, 0, 2 },
		{ "device", "device", "", 104, 4, FIELD_INT, 0, 2 },
		{ "err", "errno", "", 112, 4, FIELD_INT, 0, 3 },
		{ "colour", "enum", "", 120, 4, FIELD_ENUM, 0, 5 },
		{ "rights", "enum", "", 124, 4, FIELD_ENUM, FIELD_FLAGS, 6 },
		{ "wait_us", "duration", "us", 136, 8, FIELD_INT, 0, 8 },
		{ "ours", "bool", "", 148, 1, FIELD_INT, 0, 12 },
		{ "mac", "mac", "", 149, 6, FIELD_BYTES, 0, 13 },
		{ "digest", "blob", "", 155, 4, FIELD_BYTES, 0, 14 },
		{ "ports", "list", "", 160, 6, FIELD_ARRAY, 0, 15 },
		{ "kernel_stack", "kstack", "", 176, 64, FIELD_ARRAY, 0, 17 },
		{ "pointer", "address", "", 248, 8, FIELD_INT, 0, 19 },
		{ "peer", "ip", "", 256, 24, FIELD_IP, 0, 20 },
		{ "name", "text", "", 280, 8, FIELD_CHARS, 0, 21 },
		{ "inner", "number", "", 288, 4, FIELD_INT, 0, 22 },
		{ "path", "path", "", 292, 8, FIELD_TEXT, 0, 23 },
		{ "argv", "argv", "", 300, 8, FIELD_TEXT, FIELD_KEY, 24 },
	};
	const struct declaration *d = language();

	REQUIRE(d);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct field *f = schema_field(&d->events[0], want[i].name);

		if (!f) {
			TEST_FAULT("no field '%s'", want[i].name);
			continue;
		}
		CHECK_STR(f->kind->name, want[i].kind);
		CHECK_STR(f->unit, want[i].unit);
		CHECK_INT(f->offset, want[i].offset);
		CHECK_INT(f->size, want[i].size);
		CHECK_INT(f->type, want[i].type);
		CHECK_INT(f->flags, want[i].flags);
		CHECK_INT(f->member, want[i].member);
	}
}

TEST(bit_fields_enums_and_arrays_are_read_right)
{
	const struct declaration *d = language();
	unsigned char bytes[312] = { 0 };
	struct row r = { .bytes = bytes, .size = sizeof(bytes) };
	const struct field *sign;
	int32_t below = -1;

	REQUIRE(d);
	r.schema = &d->events[0];
	bytes[144] = 0xc0 | 0x08 | 0x05; /* nice_low 5, urgent, and the low bits of nice = -20 */
	bytes[145] = 0x02;
	memcpy(bytes + 128, &below, sizeof(below));
	CHECK_U64(row_value(&r, schema_field(r.schema, "nice_low")).u64, 5);
	CHECK_U64(row_value(&r, schema_field(r.schema, "urgent")).u64, 1);
	CHECK_INT(row_value(&r, schema_field(r.schema, "nice")).s64, -20);
	sign = schema_field(r.schema, "sign");
	CHECK_STR(names_get(sign->names, row_value(&r, sign).u64), "below");
	CHECK_INT(row_value(&r, sign).s64, -1);
	CHECK(schema_field(r.schema, "deltas")->is_signed);
}

TEST(metric_tables)
{
	const struct declaration *d = language();
	const struct metric_table *t;
	const struct field *f;

	REQUIRE(d && d->table_count == 2);
	t = &d->tables[0];
	CHECK_STR(t->name, "totals");
	CHECK(t->max_rows == 512 && !t->per_cpu && d->tables[1].per_cpu);
	CHECK_INT(t->labels.field_count, 4); /* pad is none */
	CHECK_INT(schema_field(&t->labels, "port")->member, 3);
	CHECK_INT(schema_field(&t->values, "count")->flags, FIELD_COUNTER);
	CHECK_INT(schema_field(&t->values, "level")->flags, FIELD_GAUGE);
	f = schema_field(&t->values, "took_ns");
	CHECK(f->type == FIELD_HIST && f->hist.scale == HIST_LOG2 && f->hist.slots == 32);
	CHECK_STR(f->kind->name, "duration");
	f = schema_field(&t->values, "length");
	CHECK(f->hist.scale == HIST_LINEAR && f->hist.low == 100 && f->hist.step == 50);
	f = schema_field(&t->values, "rtt_us");
	CHECK(f->hist.scale == HIST_BOUNDS && f->hist.slots == 4);
	CHECK_U64(hist_upper(&f->hist, 2), 2000);
}

TEST(ratios)
{
	const struct declaration *d = language();
	const struct field *f, *rest;

	REQUIRE(d && d->table_count == 2);
	f = schema_field(&d->tables[0].values, "even_ratio");
	rest = schema_field(&d->tables[0].values, "odd_ratio");
	REQUIRE(f && rest);
	CHECK(f->type == FIELD_RATIO && !f->ratio.rest && !(f->flags & FIELD_HIDE));
	CHECK(rest->type == FIELD_RATIO && rest->ratio.rest && rest->flags & FIELD_HIDE);
	CHECK_U64(f->ratio.part, schema_field(&d->tables[0].values, "even")->offset);
	CHECK_U64(f->ratio.whole, schema_field(&d->tables[0].values, "count")->offset);
	CHECK_STR(f->kind->name, "ratio");
	CHECK_STR(f->unit, "ratio");
	CHECK_STR(f->doc, "share of those with an even number");
	CHECK(!schema_field(&d->tables[1].values, "even_ratio"));
}

TEST(an_object_that_declares_nothing_has_its_settings)
{
	struct declaration *d = NULL;
	struct err e;

	REQUIRE(read_object("plain", &d, &e) == 0);
	CHECK_STR(d->name, "mine");
	CHECK_INT(d->param_count, 3);
	CHECK_INT(param_of(d, "most")->initial.s64, 10);
	CHECK(d->event_count == 0 && d->table_count == 0);
	declaration_free(d);
}

static void check_refused(const char *name, const char *why)
{
	struct declaration *d = NULL;
	struct err e = { 0 };

	CHECK_INT(read_object(name, &d, &e), -22);
	CHECK_HAS(e.text, why);
	declaration_free(d);
}

TEST(what_the_compiler_lets_pass_is_refused)
{
	check_refused("refused_hole",
		      "table 'holes': the labels have a hole after 'pid' (at byte 4)");
	check_refused("refused_size", "event 'size': it has 600 bytes, but a record holds 512");
	check_refused("refused_const", "parameter 'depth': it is not const volatile");
}

/* The language object with some of its words changed, as long as they were. */
TEST(wrong_words_are_refused_with_a_sentence)
{
	static const struct {
		const char *from, *to, *why;
	} want[] = {
		{ "@kind errno", "@kind erno_",
		  "'err': unknown kind 'erno_' (did you mean 'errno'?)" },
		{ "@kind mac", "@kind pid",
		  "'mac': kind 'pid' (process (thread-group) id) is not for bytes" },
		{ "@kind kstack", "@kind device", "is not for an array" },
		{ "@unit us", "@unit uz", "'wait_us': unknown unit 'uz'" },
		{ "@hide 1", "@hidf 1", "unknown tag '@hidf' (did you mean '@hide'?)" },
		{ "@range 1 16", "@range 5 16",
		  "parameter 'depth': its default 4 is not in the range 5 to 16" },
		{ "@range 1 16", "@range 9 16", "its default 4" },
		{ "@range 1 16", "@range a 16", "RANGE(a 16): expected two numbers" },
		{ "@doc levels shown", "@doc\0levels shown", NULL },
		{ "@doc levels shown", "\0doc levels shown", "a declaration tag is empty" },
		{ "@filters task errors", "@filters task errorz", "unknown filter 'errorz'" },
		{ "min=0ns", "min=0xs", "FILTERS: min=0xs: " },
		{ "min=0ns", "max=0ns", "unknown filter 'max=0ns'" },
		{ "@abi 1", "@abi 2", "version 2 of the probe language" },
		{ "@hist log2", "@hist logs", "unknown histogram 'logs'" },
		{ "@hist linear 100 50", "@hist linear 100 00", "step above 0" },
		{ "@hist bounds steps", "@hist bounds stepz", "there is no BOUNDS(stepz, ...)" },
		{ "@ratio share totals even_ratio even count",
		  "@ratio shade totals even_ratio even count",
		  "'ratio_totals_even_ratio': expected its table, name, part and whole" },
		{ "@ratio share totals even_ratio even count",
		  "@ratio share totals even_ratio even-count",
		  "expected its table, name, part and whole" },
		{ "@ratio share totals even_ratio even count",
		  "@ratio share totals an_ratio even count x",
		  "expected its table, name, part and whole" },
		{ "@ratio share totals even_ratio", "@ratio share totalz even_ratio",
		  "there is no table 'totalz'" },
		{ "even_ratio even count", "even_ratio evem count",
		  "the table has no value 'evem' (did you mean 'even'?)" },
		{ "even_ratio even count", "even_ratio even level",
		  "'level' is a gauge, 'even' a counter" },
		{ "even_ratio even count", "even_ratio even took_", "no value 'took_'" },
		{ "odd_ratio even count", "odd_ratio length even",
		  "'length' is neither a counter nor a gauge without sign" },
		{ "even_ratio even", "even_rates even", "its name does not end in _ratio" },
		{ "totals odd_ratio even count", "totals odd_ratio even coxnt",
		  "no value 'coxnt'" },
		{ "@as counter", "@as countxr", "neither COUNTER nor GAUGE" },
		{ "\0digest\0", "\0colour\0", "two fields are named 'colour'" },
		{ "\0digest\0", "\0dig-st\0", "a member needs a name of letters, digits and _" },
		{ "\0depth\0", "\0count\0", "'count': --count is an option of sonda itself" },
		{ "\0ours\0", "\0time\0", "'time': every row has that already" },
	};
	auto_free char *path = object_path("language"), *bytes = NULL;
	struct err e;
	size_t len;

	REQUIRE(file_read(path, &bytes, &len, &e) == 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		size_t size = want[i].from[0] ? strlen(want[i].from) : strlen(want[i].from + 1) + 2;
		auto_free char *copy = xmemdup(bytes, len);
		struct declaration *d = NULL;
		char *at, *end = copy + len;
		int err;

		for (at = copy; (at = memmem(at, (size_t)(end - at), want[i].from, size));
		     at += size)
			memcpy(at, want[i].to, size);
		err = read_bytes(copy, len, &d, &e);
		if (!want[i].why)
			CHECK_INT(err, -22);
		else if (err >= 0)
			TEST_FAULT("'%s' was taken", want[i].to);
		else
			CHECK_HAS(e.text, want[i].why);
		declaration_free(d);
	}
}

/* Every schema of a declaration as bytes: what can be compared. */
static void declaration_bytes(const struct declaration *d, struct strbuf *out)
{
	for (size_t i = 0; i < d->event_count; i++)
		schema_encode(&d->events[i], out);
	for (size_t i = 0; i < d->row_count; i++)
		schema_encode(&d->rows[i], out);
	for (size_t i = 0; i < d->table_count; i++) {
		schema_encode(&d->tables[i].labels, out);
		schema_encode(&d->tables[i].values, out);
	}
	for (size_t i = 0; i < d->param_count; i++)
		strbuf_appendf(out, "%s %llx %s", d->params[i].field.name,
			       (unsigned long long)d->params[i].initial.u64 & 0xff,
			       d->params[i].field.kind->name);
}

/* What this compiler makes of the source; false when it isn't installed. */
static bool declared_by(const char *clang, struct strbuf *out)
{
	char object[] = "/tmp/sonda-test-XXXXXX";
	auto_close int fd = mkstemp(object);
	auto_free char *command = xasprintf(
		"command -v %s >/dev/null && %s -target bpf -mcpu=v3 -O2 -g -D__TARGET_ARCH_x86 "
		"-I/usr/include/x86_64-linux-gnu -I. -Iprobes/include -c "
		"tests/data/language.bpf.c -o %s",
		clang, clang, object);
	auto_free char *bytes = NULL;
	struct declaration *d = NULL;
	struct err e;
	size_t len;
	bool built = fd >= 0 && system(command) == 0;

	if (built && file_read(object, &bytes, &len, &e) == 0 &&
	    read_bytes(bytes, len, &d, &e) == 0)
		declaration_bytes(d, out);
	else if (built)
		TEST_FAULT("%s: %s", clang, e.text);
	unlink(object);
	declaration_free(d);
	return built;
}

TEST(all_compilers_give_the_same_declaration)
{
	static const char *const compilers[] = { "clang-14", "clang-16", "clang-19" };
	auto_done(strbuf) first = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(compilers); i++) {
		auto_done(strbuf) own = { 0 };

		if (!declared_by(compilers[i], &own))
			continue;
		if (!first.len)
			strbuf_append(&first, own.s, own.len);
		CHECK_INT(own.len, first.len);
		CHECK(own.len == first.len && !memcmp(own.s, first.s, own.len));
	}
}
