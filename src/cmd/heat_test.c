/* SPDX-License-Identifier: BSD-2-Clause */
/* Heat maps to the letter: a histogram made by hand, read once a second. */
#include "cmd/heat.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/test.h"
#include "schema/kind.h"

enum { SLOTS = 8 };

struct values {
	uint64_t sum;
	uint64_t slots[SLOTS];
};

static struct field label_field = { .name = "err", .unit = "", .type = FIELD_INT, .size = 8 };
static struct field value_field = { .name = "took_ns",
				    .unit = "ns",
				    .type = FIELD_HIST,
				    .size = sizeof(struct values),
				    .count = SLOTS,
				    .hist = { .scale = HIST_LOG2, .slots = SLOTS } };
static struct schema labels = { .fields = &label_field, .field_count = 1, .size = 8 };
static struct schema values = { .fields = &value_field,
				.field_count = 1,
				.size = sizeof(struct values) };

static struct fold *fold_make(size_t by_count)
{
	static const char *const by[] = { "err" };
	struct fold_options options = {
		.labels = &labels, .values = &values, .by = by, .by_count = by_count
	};
	struct fold *f = NULL;
	struct err e;

	label_field.kind = kind_find("number");
	value_field.kind = kind_find("duration");
	if (fold_new(&options, &f, &e) < 0)
		printf("%s\n", e.text);
	return f;
}

/* Reads at `second`: `fast` up to 2 ns so far, `slow` up to 32 ns, of the error. */
static void read_at(struct fold *f, uint64_t second, uint64_t err, uint64_t fast, uint64_t slow)
{
	struct values v = { .sum = fast + slow };

	v.slots[1] = fast;
	v.slots[5] = slow;
	fold_begin(f, second * 1000000000);
	fold_add(f, &err, &v);
	fold_end(f);
}

static struct reading reading_of(struct fold *f, struct wall *wall)
{
	setenv("TZ", "UTC", 1);
	wall_init_at(wall, 3600LL * 1000000000);
	return (struct reading){ .probe = "fs.open",
				 .table = "opens",
				 .fold = f,
				 .wall = wall,
				 .order = { .what = FOLD_HIST, .by_count = true } };
}

/* 16, then 100 more and one slow one, then nothing, then 4 slow ones. */
static void four_readings(struct heat *h, struct fold *f, struct reading *r, struct strbuf *lines)
{
	static const uint64_t fast[] = { 0, 16, 116, 116, 116 }, slow[] = { 0, 0, 1, 1, 5 };

	for (size_t i = 0; i < ARRAY_LEN(fast); i++) {
		read_at(f, i + 1, 0, fast[i], slow[i]);
		if (!i)
			continue; /* when the probe was attached */
		heat_take(h, r);
		heat_lines(h, r, i == 1, lines);
	}
}

TEST(down)
{
	auto_ptr(fold) f = fold_make(0);
	auto_ptr(heat) h = heat_new();
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	four_readings(h, f, &r, &out);
	CHECK_STR(strbuf_str(&out),
		  "fs.open opens, took_ns  \u2591 1+  \u2592 2+  \u2593 4+  \u2588 8+\n"
		  "              1 ns    16 ns     COUNT P99\n"
		  "01:00:02.000 |  \u2588\u2588            | 16 \u22642 ns\n"
		  "fs.open opens, took_ns  \u2591 1+  \u2592 2+  \u2593 8+  \u2588 32+\n"
		  "              1 ns    16 ns     COUNT P99\n"
		  "01:00:03.000 |  \u2588\u2588      \u2591\u2591    | 101 \u22642 ns\n"
		  "01:00:04.000 |                | 0 -\n"
		  "01:00:05.000 |          \u2592\u2592    | 4 \u226432 ns\n");
}

TEST(across)
{
	auto_ptr(fold) f = fold_make(0);
	auto_ptr(heat) h = heat_new();
	auto_done(strbuf) lines = { 0 }, out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	four_readings(h, f, &r, &lines);
	heat_map(h, &r, 0, &out);
	CHECK_STR(strbuf_str(&out), "01:00:05.000  fs.open opens, 1.00 s\n"
				    "\n"
				    "took_ns  \u2591 1+  \u2592 2+  \u2593 8+  \u2588 32+\n"
				    "      \u226432 ns| \u2591 \u2592|\n"
				    "      \u226416 ns|    |\n"
				    "       \u22648 ns|    |\n"
				    "       \u22644 ns|    |\n"
				    "       \u22642 ns|\u2593\u2588  |\n"
				    "             01:00:02.000 to 01:00:05.000\n");
}

/* Plain characters, rows merged to fit a low screen, and no colour. */
TEST(across_low_and_ascii)
{
	auto_ptr(fold) f = fold_make(0);
	auto_ptr(heat) h = heat_new();
	auto_done(strbuf) lines = { 0 }, out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	r.ascii = r.no_header = true;
	four_readings(h, f, &r, &lines);
	heat_map(h, &r, 6, &out);
	CHECK_STR(strbuf_str(&out), "\n"
				    "took_ns  . 1+  : 2+  * 8+  # 32+\n"
				    "     <=64 ns| . :|\n"
				    "     <=16 ns|    |\n"
				    "      <=4 ns|*#  |\n"
				    "             01:00:02.000 to 01:00:05.000\n");
}

TEST(colour)
{
	auto_ptr(fold) f = fold_make(0);
	auto_ptr(heat) h = heat_new();
	auto_done(strbuf) lines = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	r.colour = true;
	four_readings(h, f, &r, &lines);
	CHECK_HAS(strbuf_str(&lines), "\033[31m\u2588\u2588\033[0m");
}

/* Groups are maps of their own, and one that comes later begins later. */
TEST(groups)
{
	auto_ptr(fold) f = fold_make(1);
	auto_ptr(heat) h = heat_new();
	auto_done(strbuf) out = { 0 };
	struct wall wall;
	struct reading r = reading_of(f, &wall);

	read_at(f, 1, 0, 0, 0);
	read_at(f, 2, 7, 3, 0);
	heat_take(h, &r);
	read_at(f, 3, 9, 0, 5);
	heat_take(h, &r);
	r.no_header = true;
	heat_lines(h, &r, false, &out);
	CHECK_STR(strbuf_str(&out),
		  "01:00:03.000 |          \u2588\u2588    | 5 \u226432 ns err 9\n");
	strbuf_reset(&out);
	heat_map(h, &r, 0, &out);
	CHECK_STR(strbuf_str(&out), "\n"
				    "took_ns, err 7  \u2592 1+  \u2588 2+\n"
				    "       \u22642 ns|\u2588 |\n"
				    "             01:00:02.000 to 01:00:03.000\n"
				    "\n"
				    "took_ns, err 9  \u2592 1+  \u2593 2+  \u2588 4+\n"
				    "      \u226432 ns| \u2588|\n"
				    "             01:00:02.000 to 01:00:03.000\n");
}
