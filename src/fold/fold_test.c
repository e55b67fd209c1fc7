/* SPDX-License-Identifier: BSD-2-Clause */
/* Folds of a table made by hand: a command name and an error as labels; a count, a level and a
 * histogram as values. */
#include "fold/fold.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "schema/kind.h"

#include <errno.h>

struct key {
	char comm[8];
	int32_t err;
	uint32_t secret;
};
struct values {
	uint64_t count;
	uint64_t level;
	struct {
		uint64_t sum;
		uint64_t slots[4];
	} took_ns;
};

static struct field label_fields[3], value_fields[3];
static struct schema labels, values;

static void schemas_make(void)
{
	label_fields[0] = (struct field){ .name = "comm",
					  .kind = kind_find("comm"),
					  .unit = "",
					  .type = FIELD_CHARS,
					  .size = 8 };
	label_fields[1] = (struct field){ .name = "err",
					  .kind = kind_find("number"),
					  .unit = "",
					  .type = FIELD_INT,
					  .offset = offsetof(struct key, err),
					  .size = 4,
					  .is_signed = true };
	label_fields[2] = (struct field){ .name = "secret",
					  .kind = kind_find("number"),
					  .unit = "",
					  .type = FIELD_INT,
					  .flags = FIELD_HIDE,
					  .offset = offsetof(struct key, secret),
					  .size = 4 };
	value_fields[0] = (struct field){ .name = "count",
					  .kind = kind_find("number"),
					  .unit = "",
					  .type = FIELD_INT,
					  .flags = FIELD_COUNTER,
					  .size = 8 };
	value_fields[1] = (struct field){ .name = "level",
					  .kind = kind_find("number"),
					  .unit = "",
					  .type = FIELD_INT,
					  .flags = FIELD_GAUGE,
					  .offset = 8,
					  .size = 8 };
	value_fields[2] = (struct field){ .name = "took_ns",
					  .kind = kind_find("duration"),
					  .unit = "ns",
					  .type = FIELD_HIST,
					  .offset = offsetof(struct values, took_ns),
					  .size = sizeof(((struct values *)0)->took_ns),
					  .count = 4,
					  .hist = { .scale = HIST_LOG2, .slots = 4 } };
	labels = (struct schema){ .fields = label_fields,
				  .field_count = 3,
				  .size = sizeof(struct key) };
	values = (struct schema){ .fields = value_fields,
				  .field_count = 3,
				  .size = sizeof(struct values) };
}

static struct fold *fold_make(const char *const *by, size_t by_count)
{
	struct fold_options options = {
		.labels = &labels, .values = &values, .by = by, .by_count = by_count
	};
	struct err e = { 0 };
	struct fold *f = NULL;

	schemas_make();
	if (fold_new(&options, &f, &e) < 0)
		printf("%s\n", e.text);
	return f;
}

static void add(struct fold *f, const char *comm, int32_t err, uint64_t count, uint64_t level,
		unsigned slot)
{
	struct key key = { .err = err };
	struct values v = { .count = count, .level = level };

	str_copy(key.comm, sizeof(key.comm), comm);
	v.took_ns.sum = count * 2;
	v.took_ns.slots[slot] = count;
	fold_add(f, &key, &v);
}

static const struct fold_row *sorted(struct fold *f, const char *column, size_t limit,
				     size_t *ret_count, size_t *ret_left_out)
{
	struct fold_order order = { .limit = limit };
	struct err e = { 0 };

	if (fold_order_by(f, column, &order, &e) < 0)
		printf("%s\n", e.text);
	return fold_sorted(f, &order, ret_count, ret_left_out);
}

static bool comm_is(const struct fold_row *row, const char *comm)
{
	return row->labels[0].type == VALUE_TEXT && row->labels[0].text.len == strlen(comm) &&
	       !memcmp(row->labels[0].text.s, comm, strlen(comm));
}

/* Two readings: totals, and what the second added; what stood still is left out when asked. */
TEST(deltas)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	const struct fold_row *rows;
	size_t n, left;

	fold_begin(f, 1000);
	add(f, "cat", 0, 10, 5, 1);
	add(f, "ls", 0, 7, 1, 0);
	fold_end(f);
	CHECK_U64(fold_interval_ns(f), 0);
	fold_begin(f, 3000);
	add(f, "cat", 0, 14, 3, 1);
	add(f, "ls", 0, 7, 0, 0);
	fold_end(f);
	CHECK_U64(fold_interval_ns(f), 2000);
	CHECK_U64(fold_at_ns(f), 3000);
	rows = sorted(f, "count", 0, &n, &left);
	REQUIRE(n == 2);
	CHECK(comm_is(&rows[0], "cat"));
	CHECK_U64(rows[0].totals[0], 14);
	CHECK_U64(rows[0].deltas[0], 4);
	CHECK_U64(rows[0].totals[1], 3); /* a gauge is what it is now */
	CHECK_U64(rows[0].deltas[1], 3);
	CHECK_U64(rows[0].slots[0][1], 4);
	CHECK_U64(rows[0].slots_total[0][1], 14);
	CHECK_U64(rows[0].sums[0], 8);
	CHECK_U64(rows[0].sums_total[0], 28);
	CHECK_U64(rows[1].deltas[0], 0);
	rows = fold_sorted(f, &(struct fold_order){ .only_active = true }, &n, &left);
	REQUIRE(n == 1);
	CHECK(comm_is(&rows[0], "cat"));
}

/* The first reading is compared with nothing. */
TEST(first_reading)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	const struct fold_row *rows;
	size_t n, left;

	fold_begin(f, 1);
	add(f, "cat", 0, 10, 0, 1);
	fold_end(f);
	rows = sorted(f, "count", 0, &n, &left);
	REQUIRE(n == 1);
	CHECK_U64(rows[0].deltas[0], 10);
}

/* A row that the kernel took away and made anew counts from 0. */
TEST(row_made_anew)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	const struct fold_row *rows;
	size_t n, left;

	fold_begin(f, 1);
	add(f, "cat", 0, 10, 0, 1);
	fold_end(f);
	fold_begin(f, 2);
	add(f, "cat", 0, 3, 0, 1);
	fold_end(f);
	rows = sorted(f, "count", 0, &n, &left);
	REQUIRE(n == 1);
	CHECK_U64(rows[0].deltas[0], 3);
}

TEST(grouped_by_one_label)
{
	static const char *const by[] = { "comm" };
	auto_ptr(fold) f = fold_make(by, 1);
	const struct fold_row *rows;
	size_t n, left;

	fold_begin(f, 1);
	add(f, "cat", 0, 10, 2, 1);
	add(f, "cat", -2, 5, 2, 2);
	add(f, "ls", -2, 1, 0, 0);
	fold_end(f);
	CHECK_INT(fold_columns(f)->label_count, 1);
	rows = sorted(f, "count", 0, &n, &left);
	REQUIRE(n == 2);
	CHECK_U64(rows[0].totals[0], 15);
	CHECK_U64(rows[0].totals[1], 4);
	CHECK_U64(rows[0].slots[0][1], 10);
	CHECK_U64(rows[0].slots[0][2], 5);
}

TEST(grouped_by_nothing)
{
	static const char *const by[1];
	auto_ptr(fold) f = fold_make(by, 0);
	const struct fold_row *rows;
	size_t n, left;

	fold_begin(f, 1);
	add(f, "cat", 0, 10, 2, 1);
	add(f, "ls", -2, 1, 0, 0);
	fold_end(f);
	rows = sorted(f, "count", 0, &n, &left);
	REQUIRE(n == 1);
	CHECK_U64(rows[0].totals[0], 11);
	CHECK_INT(fold_columns(f)->label_count, 0);
}

TEST(hidden_labels_only_when_asked)
{
	static const char *const by[] = { "secret" };
	auto_ptr(fold) usual = fold_make(NULL, 0);
	auto_ptr(fold) asked = fold_make(by, 1);

	CHECK_INT(fold_columns(usual)->label_count, 2);
	REQUIRE(fold_columns(asked)->label_count == 1);
	CHECK_STR(fold_columns(asked)->labels[0]->name, "secret");
}

/* The shared row stands last, whatever the order, and the limit doesn't cut it. */
TEST(other_row)
{
	struct key ones;
	struct values v = { .count = 1000 };
	auto_ptr(fold) f = fold_make(NULL, 0);
	const struct fold_row *rows;
	size_t n, left;

	memset(&ones, 0xff, sizeof(ones));
	fold_begin(f, 1);
	add(f, "a", 0, 1, 0, 0);
	add(f, "b", 0, 2, 0, 0);
	add(f, "c", 0, 3, 0, 0);
	fold_add(f, &ones, &(struct values){ 0 });
	fold_end(f);
	rows = sorted(f, "count", 0, &n, &left);
	CHECK_INT(n, 3); /* an empty one isn't shown */
	fold_begin(f, 2);
	add(f, "a", 0, 1, 0, 0);
	add(f, "b", 0, 2, 0, 0);
	add(f, "c", 0, 3, 0, 0);
	fold_add(f, &ones, &v);
	fold_end(f);
	rows = sorted(f, "count", 2, &n, &left);
	REQUIRE(n == 3);
	CHECK_INT(left, 1);
	CHECK(!rows[0].is_other && !rows[1].is_other && rows[2].is_other);
	CHECK_U64(rows[2].totals[0], 1000);
	CHECK_INT(rows[2].labels[0].type, VALUE_NONE);
}

static void order_is(struct fold *f, struct fold_order order, const char *comms)
{
	auto_done(strbuf) got = { 0 };
	size_t n, left;
	const struct fold_row *rows = fold_sorted(f, &order, &n, &left);

	for (size_t i = 0; i < n; i++)
		strbuf_append(&got, rows[i].labels[0].text.s, rows[i].labels[0].text.len);
	CHECK_STR(strbuf_str(&got), comms);
}

TEST(orders)
{
	auto_ptr(fold) f = fold_make(NULL, 0);

	fold_begin(f, 1);
	add(f, "c", 0, 5, 1, 0);
	add(f, "a", 0, 5, 1, 3);
	add(f, "b", 0, 9, 1, 1);
	fold_end(f);
	fold_begin(f, 2);
	add(f, "c", 0, 8, 1, 0);
	add(f, "a", 0, 6, 1, 3);
	add(f, "b", 0, 10, 1, 1);
	fold_end(f);
	order_is(f, (struct fold_order){ 0 }, "cab"); /* by what was added; equal: by label */
	order_is(f, (struct fold_order){ .by_total = true }, "bca");
	order_is(f, (struct fold_order){ .reverse = true }, "abc");
	order_is(f, (struct fold_order){ .what = FOLD_LABEL }, "abc");
	order_is(f, (struct fold_order){ .what = FOLD_LABEL, .reverse = true }, "cba");
	order_is(f, (struct fold_order){ .what = FOLD_HIST }, "abc"); /* by the percentile */
	order_is(f, (struct fold_order){ .what = FOLD_HIST, .by_count = true }, "cab");
	order_is(f, (struct fold_order){ .what = FOLD_HIST, .by_count = true, .by_total = true },
		 "bca");
}

TEST(columns_by_name)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	struct fold_order order = { 0 };
	struct err e = { 0 };

	CHECK_INT(fold_order_by(f, "took", &order, &e), 0); /* without its unit */
	CHECK_INT(order.what, FOLD_HIST);
	CHECK_INT(fold_order_by(f, "err", &order, &e), 0);
	CHECK_INT(order.what, FOLD_LABEL);
	CHECK_INT(order.nth, 1);
	CHECK_INT(fold_order_by(f, "cuont", &order, &e), -EINVAL);
	CHECK_HAS(e.text, "did you mean 'count'");
	CHECK_INT(err_exit_code(&e), EXIT_USAGE);
}

TEST(unknown_label)
{
	static const char *const by[] = { "com" };
	struct fold_options options = {
		.labels = &labels, .values = &values, .by = by, .by_count = 1
	};
	struct err e = { 0 };
	struct fold *f = NULL;

	schemas_make();
	CHECK_INT(fold_new(&options, &f, &e), -EINVAL);
	CHECK_HAS(e.text, "did you mean 'comm'");
	CHECK_INT(err_exit_code(&e), EXIT_USAGE);
	CHECK(!f);
}

/* Texts of a label outlive the bytes that they were read from. */
TEST(labels_are_kept)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	struct key *key = xnew(struct key);
	struct values v = { .count = 1 };
	const struct fold_row *rows;
	size_t n, left;

	str_copy(key->comm, sizeof(key->comm), "cat");
	fold_begin(f, 1);
	fold_add(f, key, &v);
	memset(key, 'x', sizeof(*key));
	free(key);
	fold_end(f);
	rows = sorted(f, "count", 0, &n, &left);
	REQUIRE(n == 1);
	CHECK(comm_is(&rows[0], "cat"));
}

/* What comes with a label is a column, and takes no part in grouping. */
static const char *note_of(const struct schema *from, const struct field *label)
{
	(void)from;
	return str_eq(label->name, "err") ? "secret" : NULL;
}

static void add_secret(struct fold *f, int32_t err, uint32_t secret, uint64_t count)
{
	struct key key = { .err = err, .secret = secret };
	struct values v = { .count = count };

	fold_add(f, &key, &v);
}

TEST(notes)
{
	static const char *const by[] = { "err" };
	struct fold_options options = {
		.labels = &labels, .values = &values, .by = by, .by_count = 1, .note = note_of
	};
	auto_ptr(fold) f = NULL;
	const struct fold_row *rows;
	size_t count, left_out;
	struct err e;

	schemas_make();
	CHECK_INT(fold_new(&options, &f, &e), 0);
	CHECK_INT(fold_columns(f)->key_count, 1);
	CHECK_INT(fold_columns(f)->label_count, 2);
	CHECK_STR(fold_columns(f)->labels[1]->name, "secret");
	fold_begin(f, 1);
	add_secret(f, -2, 71, 5);
	add_secret(f, -2, 72, 6); /* another note, the same group: the first stays */
	fold_end(f);
	rows = sorted(f, "count", 0, &count, &left_out);
	CHECK_INT(count, 1);
	CHECK_INT(rows[0].totals[0], 11);
	CHECK_INT(rows[0].labels[1].u64, 71);
}

static bool is_enoent(const struct fold_row *row, void *ctx)
{
	(void)ctx;
	return row->labels[1].s64 == -2;
}

TEST(totals)
{
	auto_ptr(fold) f = fold_make(NULL, 0);
	struct fold_order order = { .limit = 1 };
	const struct fold_row *total, *rows;
	size_t count, left_out;

	fold_begin(f, 1);
	add(f, "a", 0, 10, 1, 1);
	fold_end(f);
	fold_begin(f, 2);
	add(f, "a", 0, 15, 1, 1);
	add(f, "b", -2, 7, 2, 3);
	fold_end(f);
	total = fold_total(f, &order);
	CHECK_INT(total->totals[0], 22);
	CHECK_INT(total->deltas[0], 12);
	CHECK_INT(total->totals[1], 3);
	CHECK_INT(total->slots[0][1], 5);
	CHECK_INT(total->slots_total[0][3], 7);
	order.keep = is_enoent;
	total = fold_total(f, &order);
	CHECK_INT(total->totals[0], 7);
	rows = fold_sorted(f, &order, &count, &left_out);
	CHECK_INT(count, 1);
	CHECK_INT(left_out, 0);
	CHECK_INT(rows[0].totals[0], 7);
	order.keep = NULL; /* the total is no group */
	order.limit = 0;
	(void)!fold_sorted(f, &order, &count, &left_out);
	CHECK_INT(count, 2);
}

/* Of levels the sum counts, of shares and times the greatest; a level may be below zero. */
TEST(gauges)
{
	static const char *const by[] = { "comm" };
	static const char *const greatest[] = { "percent", "duration" };
	auto_ptr(fold) f = fold_make(by, 1);
	struct fold_order order = { 0 };
	const struct fold_row *rows;
	size_t count, left_out;

	fold_begin(f, 1);
	add(f, "a", 0, 1, 30, 0);
	add(f, "a", -1, 1, 40, 0);
	fold_end(f);
	rows = fold_sorted(f, &order, &count, &left_out);
	CHECK_INT(rows[0].totals[1], 70);
	order.by_total = true;
	for (size_t i = 0; i < ARRAY_LEN(greatest); i++) {
		value_fields[1].kind = kind_find(greatest[i]);
		fold_begin(f, 2 + i);
		add(f, "a", 0, 1, 30, 0);
		add(f, "a", -1, 1, 40, 0);
		add(f, "b", 0, 1, 20, 0);
		fold_end(f);
		rows = fold_sorted(f, &order, &count, &left_out);
		CHECK_INT(rows[0].totals[1], 40);
		CHECK_INT(fold_total(f, &order)->totals[1], 40);
	}
}
