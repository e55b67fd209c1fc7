/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "schema/schema.h"

static const uint64_t bounds[] = { 100, 500, 2000 };
static const struct hist_shape log2_shape = { .scale = HIST_LOG2, .slots = 32 };
static const struct hist_shape linear = {
	.scale = HIST_LINEAR, .slots = 10, .low = 100, .step = 50
};
static const struct hist_shape bounded = { .scale = HIST_BOUNDS, .slots = 4, .bounds = bounds };

TEST(a_slot_counts_up_to_its_upper_bound)
{
	CHECK_U64(hist_upper(&log2_shape, 0), 1);
	CHECK_U64(hist_upper(&log2_shape, 10), 1024);
	CHECK_U64(hist_upper(&log2_shape, 31), UINT64_MAX);
	CHECK_U64(hist_upper(&linear, 0), 100);
	CHECK_U64(hist_upper(&linear, 3), 250);
	CHECK_U64(hist_upper(&linear, 9), UINT64_MAX);
	CHECK_U64(hist_upper(&bounded, 1), 500);
	CHECK_U64(hist_upper(&bounded, 3), UINT64_MAX);
}

/* What log2_slot(), linear_slot() and bounds_slot() of sonda/metrics.h answer. */
TEST(a_value_falls_into_the_slot_that_the_probe_counts_it_in)
{
	static const struct {
		const struct hist_shape *shape;
		uint64_t value;
		uint32_t slot;
	} want[] = {
		{ &log2_shape, 0, 0 },
		{ &log2_shape, 1, 0 },
		{ &log2_shape, 2, 1 },
		{ &log2_shape, 3, 2 },
		{ &log2_shape, 1024, 10 },
		{ &log2_shape, 1025, 11 },
		{ &log2_shape, 1ULL << 40, 31 },
		{ &linear, 100, 0 },
		{ &linear, 101, 1 },
		{ &linear, 150, 1 },
		{ &linear, 151, 2 },
		{ &linear, 99999, 9 },
		{ &bounded, 100, 0 },
		{ &bounded, 101, 1 },
		{ &bounded, 2001, 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		CHECK_INT(hist_slot(want[i].shape, want[i].value), want[i].slot);
}

TEST(percentiles_are_the_upper_bound_of_their_slot)
{
	uint64_t slots[32] = { 0 };

	CHECK_U64(hist_percentile(&log2_shape, slots, 0.5), 0);
	slots[3] = 50;
	slots[5] = 49;
	slots[10] = 1;
	CHECK_U64(hist_percentile(&log2_shape, slots, 0.5), 8);
	CHECK_U64(hist_percentile(&log2_shape, slots, 0.51), 32);
	CHECK_U64(hist_percentile(&log2_shape, slots, 0.99), 32);
	CHECK_U64(hist_percentile(&log2_shape, slots, 1), 1024);
	CHECK_U64(hist_percentile(&log2_shape, slots, 0), 8);
	slots[31] = UINT64_MAX;
	CHECK_U64(hist_percentile(&log2_shape, slots, 0.5), UINT64_MAX);
}

TEST(reading_a_histogram_out_of_a_row)
{
	uint64_t bytes[6] = { 9, 1000, 1, 2, 3, 4 }, sum = 0, slots[4];
	struct row r = { .bytes = (const unsigned char *)bytes, .size = sizeof(bytes) };
	struct field f = { .name = "h",
			   .type = FIELD_HIST,
			   .offset = 8,
			   .size = 40,
			   .count = 4,
			   .hist = bounded };

	CHECK(hist_read(&r, &f, &sum, slots));
	CHECK_U64(sum, 1000);
	CHECK_U64(slots[3], 4);
	r.size--;
	CHECK(!hist_read(&r, &f, &sum, slots));
	CHECK_INT(row_value(&r, &f).type, VALUE_NONE);
}
