/* SPDX-License-Identifier: BSD-2-Clause */
/* The screens of top and hist, to the letter: a table made by hand, read twice, a second apart. */
#include "cmd/reading.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/test.h"
#include "schema/kind.h"

struct key {
	char comm[8];
	int32_t err;
	uint32_t pad;
};
struct values {
	uint64_t opens, bytes, level;
	struct {
		uint64_t sum;
		uint64_t slots[12];
	} took_ns;
};

#define FIELD(n, k, t, struct_, member, ...)                                           \
	{                                                                              \
		.name = n, .unit = "", .type = t, .offset = offsetof(struct_, member), \
		.size = sizeof(((struct_ *)0)->member), __VA_ARGS__                    \
	}

static struct field label_fields[] = {
	FIELD("comm", "comm", FIELD_CHARS, struct key, comm),
	FIELD("err", "errno", FIELD_INT, struct key, err, .is_signed = true),
};
static struct field value_fields[] = {
	FIELD("opens", "number", FIELD_INT, struct values, opens, .flags = FIELD_COUNTER),
	FIELD("bytes", "bytes", FIELD_INT, struct values, bytes, .flags = FIELD_COUNTER),
	FIELD("level", "number", FIELD_INT, struct values, level, .flags = FIELD_GAUGE),
	FIELD("took_ns", "duration", FIELD_HIST, struct values, took_ns, .count = 12,
	      .hist = { .scale = HIST_LOG2, .slots = 12 }),
	{ .name = "big_ratio",
	  .type = FIELD_RATIO,
	  .ratio = { offsetof(struct values, bytes), offsetof(struct values, opens), true } },
};
static bool with_ratio; /* the last of them */
static struct schema labels = { .fields = label_fields, .size = sizeof(struct key) };
static struct schema values = { .fields = value_fields, .size = sizeof(struct values) };

static struct fold *fold_make(const char *const *by, size_t by_count)
{
	static const char *const label_kinds[] = { "comm", "errno" };
	static const char *const value_kinds[] = { "number", "bytes", "number", "duration",
						   "ratio" };
	struct fold_options options = {
		.labels = &labels, .values = &values, .by = by, .by_count = by_count
	};
	struct err e = { 0 };
	struct fold *f = NULL;

	for (size_t i = 0; i < ARRAY_LEN(label_fields); i++)
		label_fields[i].kind = kind_find(label_kinds[i]);
	for (size_t i = 0; i < ARRAY_LEN(value_fields); i++)
		value_fields[i].kind = kind_find(value_kinds[i]);
	value_fields[1].unit = "bytes";
	value_fields[3].unit = "ns";
	value_fields[4].unit = "ratio";
	labels.field_count = ARRAY_LEN(label_fields);
	values.field_count = ARRAY_LEN(value_fields) - !with_ratio;
	if (fold_new(&options, &f, &e) < 0)
		printf("%s\n", e.text);
	return f;
}

static void add(struct fold *f, const char *comm, int32_t err, uint64_t opens, uint64_t bytes)
{
	struct key key = { .err = err };
	struct values v = { .opens = opens, .bytes = bytes, .level = 7 };

	str_copy(key.comm, sizeof(key.comm), comm);
	v.took_ns.sum = opens * 300;
	v.took_ns.slots[8] = opens - opens / 4; /* 128 to 256 ns */
	v.took_ns.slots[10] = opens / 4;        /* 512 ns to 1.02 us */
	fold_add(f, &key, &v);
}

static void read_twice(struct fold *f)
{
	struct key ones;
	struct values v = { .opens = 3 };

	v.took_ns.slots[11] = 3;
	memset(&ones, 0xff, sizeof(ones));
	fold_begin(f, 1000000000);
	add(f, "cat", 0, 100, 4096);
	add(f, "ls", -2, 8, 0);
	fold_end(f);
	fold_begin(f, 2000000000);
	add(f, "cat", 0, 140, 1052672);
	add(f, "ls", -2, 8, 0);
	add(f, "sh", 0, 4, 100);
	fold_add(f, &ones, &v);
	fold_end(f);
}

/* A reading at 01:00:02 UTC. */
static struct reading reading_of(struct fold *f, struct wall *wall)
{
	setenv("TZ", "UTC", 1);
	wall_init_at(wall, 3600LL * 1000000000);
	return (struct reading){ .probe = "fs.open", .table = "opens", .fold = f, .wall = wall };
}

TEST(ranking)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.order.only_active = true;
	reading_ranking(&r, &out);
	CHECK_STR(
		strbuf_str(&out),
		"01:00:02.000  fs.open opens, 1.00 s\n"
		"COMM             ERR     OPENS/S\u25bc  OPENS  BYTES/S    BYTES  LEVEL  TOOK-P50  TOOK-P99  TOOK-MAX\n"
		"cat              ok          40.0    140  1.0 MiB  1.0 MiB      7   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"sh               ok          4.00      4    100 B    100 B      7   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"ls               ENOENT         0      8        0      0 B      7         -         -         -\n"
		"other                        3.00      3        0      0 B      0  >1.02 us  >1.02 us  >1.02 us\n"
		"total                        47.0    155  1.0 MiB  1.0 MiB     21   \u2264256 ns  >1.02 us  >1.02 us\n");
}

TEST(ranking_limited)
{
	static const char *const by[] = { "comm" };
	auto_ptr(fold) f = fold_make(by, 1);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.order = (struct fold_order){ .limit = 1, .by_total = true };
	r.no_header = true;
	r.whole = true;
	reading_ranking(&r, &out);
	CHECK_STR(
		strbuf_str(&out),
		"cat                  140     140  1.0 MiB  1.0 MiB      7   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"other               3.00       3        0      0 B      0  >1.02 us  >1.02 us  >1.02 us\n"
		"total                155     155  1.0 MiB  1.0 MiB     21   \u2264256 ns  >1.02 us  >1.02 us\n"
		"... 2 more (--limit)\n");
}

TEST(json)
{
	static const char *const by[] = { "comm", "err" };
	auto_ptr(fold) f = fold_make(by, 2);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.order.limit = 1;
	reading_json(&r, &out);
	CHECK_STR(
		strbuf_str(&out),
		"{\"time\":\"1970-01-01T01:00:02.000000000Z\",\"probe\":\"fs.open\",\"table\":\"opens\","
		"\"interval_ns\":1000000000,\"comm\":\"cat\",\"err\":null,"
		"\"opens\":140,\"opens_delta\":40,\"bytes\":1052672,\"bytes_delta\":1048576,\"level\":7,"
		"\"took_ns\":{\"sum\":42000,\"count\":140,\"p50\":256,\"p50_above\":128,\"p90\":1024,\"p90_above\":512,\"p99\":1024,\"p99_above\":512,"
		"\"p999\":1024,\"p999_above\":512,\"max\":1024,\"max_above\":512,"
		"\"buckets\":[[256,105],[1024,35]]},"
		"\"took_ns_delta\":{\"sum\":12000,\"count\":40,\"p50\":256,\"p50_above\":128,\"p90\":1024,\"p90_above\":512,\"p99\":1024,\"p99_above\":512,"
		"\"p999\":1024,\"p999_above\":512,\"max\":1024,\"max_above\":512,"
		"\"buckets\":[[256,30],[1024,10]]}}\n"
		"{\"time\":\"1970-01-01T01:00:02.000000000Z\",\"probe\":\"fs.open\",\"table\":\"opens\","
		"\"interval_ns\":1000000000,\"other\":true,\"comm\":null,\"err\":null,"
		"\"opens\":3,\"opens_delta\":3,\"bytes\":0,\"bytes_delta\":0,\"level\":0,"
		"\"took_ns\":{\"sum\":0,\"count\":3,\"p50\":null,\"p50_above\":1024,\"p90\":null,\"p90_above\":1024,\"p99\":null,\"p99_above\":1024,"
		"\"p999\":null,\"p999_above\":1024,\"max\":null,\"max_above\":1024,"
		"\"buckets\":[[null,3]]},"
		"\"took_ns_delta\":{\"sum\":0,\"count\":3,\"p50\":null,\"p50_above\":1024,\"p90\":null,\"p90_above\":1024,\"p99\":null,\"p99_above\":1024,"
		"\"p999\":null,\"p999_above\":1024,\"max\":null,\"max_above\":1024,"
		"\"buckets\":[[null,3]]}}\n");
}

TEST(csv)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.order.limit = 1;
	reading_csv(&r, true, &out);
	CHECK_STR(
		strbuf_str(&out),
		"time,probe,table,interval_ns,comm,err,opens,opens_delta,bytes,bytes_delta,level,"
		"took_ns_sum,took_ns_count,took_ns_p50,took_ns_p90,took_ns_p99,took_ns_p999,took_ns_max\n"
		"1970-01-01T01:00:02.000000000Z,fs.open,opens,1000000000,cat,,140,40,1052672,1048576,7,"
		"42000,140,256,1024,1024,1024,1024\n"
		"1970-01-01T01:00:02.000000000Z,fs.open,opens,1000000000,other,,3,3,0,0,0,0,3,,,,,\n");
}

/* What is left of opens, by bytes: of the interval, of the totals, of all groups together; "-" and last
 * where nothing was opened. */
TEST(ratios)
{
	static const char *const by[] = { "comm" };
	auto_done(strbuf) out = { 0 }, json = { 0 }, csv = { 0 };
	auto_ptr(fold) f = NULL;
	struct wall wall;
	struct reading r;
	struct err e;

	with_ratio = true;
	f = fold_make(by, 1);
	with_ratio = false;
	r = reading_of(f, &wall);
	fold_begin(f, 1000000000);
	add(f, "cat", 0, 100, 100);
	add(f, "ls", 0, 8, 2);
	fold_end(f);
	fold_begin(f, 2000000000);
	add(f, "cat", 0, 200, 150);
	add(f, "ls", 0, 8, 2);
	add(f, "sh", 0, 4, 100); /* more than the whole */
	fold_end(f);
	REQUIRE(fold_order_by(f, "big", &r.order, &e) == 0);
	r.order.reverse = true;
	reading_ranking(&r, &out);
	CHECK_STR(
		strbuf_str(&out),
		"01:00:02.000  fs.open opens, 1.00 s\n"
		"COMM             OPENS/S  OPENS  BYTES/S  BYTES  LEVEL  BIG-RATIO\u25b2  TOOK-P50  TOOK-P99  TOOK-MAX\n"
		"sh                  4.00      4    100 B  100 B      7         0 %   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"cat                  100    200     50 B  150 B      7      50.0 %   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"ls                     0      8        0    2 B      7           -         -         -         -\n"
		"total                104    212    150 B  252 B     21         0 %   \u2264256 ns  \u22641.02 us  \u22641.02 us\n");
	r.order.by_total = true;
	r.order.limit = 2;
	reading_json(&r, &json);
	CHECK_HAS(strbuf_str(&json), "\"big_ratio\":0,\"big_ratio_delta\":0,\"took_ns\"");
	CHECK_HAS(strbuf_str(&json), "\"big_ratio\":0.25,\"big_ratio_delta\":0.5,\"took_ns\"");
	r.order.limit = 0;
	reading_csv(&r, true, &csv);
	CHECK_HAS(strbuf_str(&csv), ",level,big_ratio,big_ratio_delta,took_ns_sum,");
	CHECK_HAS(strbuf_str(&csv), ",ls,8,0,2,0,7,0.75,,");
	strbuf_reset(&out);
	r.no_header = true;
	r.order.limit = 2;
	reading_ranking(&r, &out);
	CHECK_STR(
		strbuf_str(&out),
		"sh                  4.00      4    100 B  100 B      7         0 %   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"cat                  100    200     50 B  150 B      7      25.0 %   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"total                104    212    150 B  252 B     21         0 %   \u2264256 ns  \u22641.02 us  \u22641.02 us\n"
		"... 1 more (--limit)\n");
}

TEST(bars)
{
	static const char *const by[] = { "comm" };
	auto_ptr(fold) f = fold_make(by, 1);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.order = (struct fold_order){
		.what = FOLD_HIST, .by_count = true, .limit = 1, .only_active = true
	};
	reading_bars(&r, &out);
	CHECK_STR(
		strbuf_str(&out),
		"01:00:02.000  fs.open opens, 1.00 s\n"
		"\n"
		"comm cat\n"
		"             took_ns     COUNT   SHARE   UP TO\n"
		"     128 ns - 256 ns        30  75.0 %  75.0 %  "
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588"
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588"
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\n"
		"     256 ns - 512 ns         0  0.00 %  75.0 %\n"
		"    512 ns - 1.02 us        10  25.0 %   100 %  "
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u258e\n"
		"count 40, mean 300 ns, p50 \u2264256 ns (>128 ns), p90 \u22641.02 us (>512 ns), p99 \u22641.02 us (>512 ns), "
		"p99.9 \u22641.02 us (>512 ns), max \u22641.02 us (>512 ns)\n"
		"\n"
		"other\n"
		"             took_ns     COUNT   SHARE   UP TO\n"
		"            >1.02 us         3   100 %   100 %  "
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588"
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588"
		"\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\n"
		"count 3, mean 0 ns, p50 >1.02 us, p90 >1.02 us, p99 >1.02 us, p99.9 >1.02 us, max >1.02 us\n"
		"\n"
		"(a percentile lies in its bar: up to the bound, above the one before)\n"
		"... 2 more (--limit)\n");
}

TEST(nothing_counted)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	fold_begin(f, 1000000000);
	fold_end(f);
	fold_begin(f, 2000000000);
	fold_end(f);
	reading_bars(&r, &out);
	CHECK_STR(strbuf_str(&out), "01:00:02.000  fs.open opens, 1.00 s\nnothing was counted\n");
	strbuf_reset(&out);
	reading_json(&r, &out);
	CHECK_STR(strbuf_str(&out), "");
}

TEST(filtered)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.no_header = true;
	r.filter = "eNo"; /* of the error's name, in any case */
	reading_narrow(&r);
	reading_ranking(&r, &out);
	CHECK_HAS(strbuf_str(&out), "ls               ENOENT");
	CHECK_HAS(strbuf_str(&out), "other ");
	CHECK(!strstr(strbuf_str(&out), "cat"));
	CHECK_HAS(strbuf_str(&out), "total                        3.00     11");
	r.filter = "";
	reading_narrow(&r);
	CHECK(!r.order.keep);
}

TEST(ascii)
{
	static const char *const by[] = { "comm" };
	auto_ptr(fold) f = fold_make(by, 1);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.ascii = true;
	reading_ranking(&r, &out);
	reading_bars(&r, &out);
	for (size_t i = 0; i < out.len; i++)
		CHECK((unsigned char)out.s[i] < 0x80);
	CHECK_HAS(strbuf_str(&out), "OPENS/S*");
	CHECK_HAS(strbuf_str(&out), "<=256 ns");
	CHECK_HAS(strbuf_str(&out), "########################################\n");
}

/* Where not all fits, the most telling columns stay. */
TEST(narrow)
{
	static const char *const by[] = { "comm" };
	auto_ptr(fold) f = fold_make(by, 1);
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_twice(f);
	r.width_cols = 80;
	reading_ranking(&r, &out);
	CHECK_HAS(strbuf_str(&out),
		  "COMM             OPENS/S\u25bc  OPENS  BYTES/S    BYTES  LEVEL  TOOK-P99\n");
	strbuf_reset(&out);
	r.width_cols = 60;
	r.order.by_total = true; /* what is sorted by stays */
	reading_ranking(&r, &out);
	CHECK_HAS(strbuf_str(&out),
		  "COMM             OPENS/S  OPENS\u25bc  BYTES/S  LEVEL  TOOK-P99\n");
}
