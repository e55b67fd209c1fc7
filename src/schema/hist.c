/* SPDX-License-Identifier: BSD-2-Clause */
/* Histograms: what a slot counts, the slot of a value, percentiles. See sonda/metrics.h. */
#include "schema/schema.h"

static uint64_t log2_upper(const struct hist_shape *shape, uint32_t slot)
{
	(void)shape;
	return slot < 64 ? 1ULL << slot : UINT64_MAX;
}

static uint64_t linear_upper(const struct hist_shape *shape, uint32_t slot)
{
	uint64_t upper;

	if (__builtin_mul_overflow(shape->step, slot, &upper) ||
	    __builtin_add_overflow(shape->low, upper, &upper))
		return UINT64_MAX;
	return upper;
}

static uint64_t bounds_upper(const struct hist_shape *shape, uint32_t slot)
{
	return shape->bounds[slot];
}

uint64_t hist_upper(const struct hist_shape *shape, uint32_t slot)
{
	static uint64_t (*const upper[])(const struct hist_shape *, uint32_t) = {
		[HIST_LOG2] = log2_upper,
		[HIST_LINEAR] = linear_upper,
		[HIST_BOUNDS] = bounds_upper,
	};

	if (slot + 1 >= shape->slots || shape->scale >= ARRAY_LEN(upper))
		return UINT64_MAX;
	return upper[shape->scale](shape, slot);
}

uint32_t hist_slot(const struct hist_shape *shape, uint64_t value)
{
	uint32_t low = 0, high = shape->slots ? shape->slots - 1 : 0, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (value <= hist_upper(shape, middle))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t hist_percentile(const struct hist_shape *shape, const uint64_t *slots, double fraction)
{
	uint64_t total = 0, below = 0;

	for (uint32_t i = 0; i < shape->slots; i++)
		total = add_saturating(total, slots[i]);
	if (!total)
		return 0;
	for (uint32_t i = 0; i < shape->slots; i++) {
		below = add_saturating(below, slots[i]);
		if (slots[i] && (double)below >= fraction * (double)total)
			return hist_upper(shape, i);
	}
	return UINT64_MAX;
}
