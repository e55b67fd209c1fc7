/* SPDX-License-Identifier: BSD-2-Clause */
/* Metric tables, read in batches, else key by key. */
#include "bpf/maptable.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "bpf/object.h"

enum { BATCH_ROWS = 256, TRIES_MAX = 8 };

struct maptable {
	int fd; /* the object's */
	const char *name;
	uint32_t key_size, value_size;
	uint32_t max_entries;
	uint32_t value_stride; /* bytes of a row's value in a batch: all copies */
	uint32_t copies;
	uint32_t batch;      /* rows asked for at once */
	bool no_batches;     /* this kernel, or this type of map, has none */
	unsigned char *keys; /* of a batch */
	unsigned char *values;
	uint64_t *key; /* one row, aligned, as handed out */
	uint64_t *value;
	uint64_t position[8]; /* of the batch: a bucket, or a key of up to 64 bytes */
	uint64_t position_next[8];
};

static uint32_t round_up_8(uint32_t n)
{
	return (n + 7) & ~7u;
}

int maptable_new(const struct object *o, const char *map, struct maptable **ret_table,
		 struct err *e)
{
	struct object_map told;
	struct maptable *t;
	int fd = object_map_fd(o, map);

	if (fd < 0 || !object_map_find(o, map, &told))
		return fail(e, ENOENT, "'%s' has no table '%s'", object_name(o), map);
	if (told.type != BPF_MAP_TYPE_HASH && told.type != BPF_MAP_TYPE_ARRAY &&
	    told.type != BPF_MAP_TYPE_LRU_HASH && !told.per_cpu)
		return fail(e, ENOTSUP, "map '%s' is no table", map);
	t = xnew(struct maptable);
	t->fd = fd;
	t->name = told.name;
	t->key_size = told.key_size;
	t->value_size = told.value_size;
	t->max_entries = max(object_map_max_entries(o, map), 1u);
	t->copies = told.per_cpu ? (uint32_t)max(libbpf_num_possible_cpus(), 1) : 1;
	t->value_stride = told.per_cpu ? round_up_8(told.value_size) * t->copies : told.value_size;
	t->batch = BATCH_ROWS;
	t->no_batches = t->key_size > sizeof(t->position);
	t->keys = xcalloc(t->batch, t->key_size);
	t->values = xcalloc(t->batch, t->value_stride);
	t->key = xcalloc(1, round_up_8(t->key_size));
	t->value = xcalloc(1, round_up_8(t->value_size));
	*ret_table = t;
	return 0;
}

void maptable_free(struct maptable *t)
{
	if (!t)
		return;
	free(t->keys);
	free(t->values);
	free(t->key);
	free(t->value);
	free(t);
}

uint32_t maptable_key_size(const struct maptable *t)
{
	return t->key_size;
}

uint32_t maptable_value_size(const struct maptable *t)
{
	return t->value_size;
}

/* One row, its copies summed word by word. What is left of the last word is added as bytes are: a value
 * is made of u64, or it is not per CPU. */
static int row_hand_out(struct maptable *t, const void *key, const unsigned char *value,
			maptable_fn *fn, void *ctx)
{
	uint32_t stride = round_up_8(t->value_size);
	uint64_t word;

	memcpy(t->key, key, t->key_size);
	if (t->copies == 1) {
		memcpy(t->value, value, t->value_size);
		return fn(t->key, t->value, ctx);
	}
	memset(t->value, 0, stride);
	for (uint32_t copy = 0; copy < t->copies; copy++) {
		for (uint32_t i = 0; i < stride / 8; i++) {
			memcpy(&word, value + (size_t)copy * stride + (size_t)i * 8, 8);
			t->value[i] += word;
		}
	}
	return fn(t->key, t->value, ctx);
}

static int batch_hand_out(struct maptable *t, uint32_t rows, maptable_fn *fn, void *ctx)
{
	int code = 0;

	for (uint32_t i = 0; i < rows && !code; i++)
		code = row_hand_out(t, t->keys + (size_t)i * t->key_size,
				    t->values + (size_t)i * t->value_stride, fn, ctx);
	return code;
}

/* A bucket holds more rows than a batch: the kernel says ENOSPC and wants larger buffers. */
static bool batch_grow(struct maptable *t)
{
	if (t->batch >= t->max_entries)
		return false;
	t->batch *= 2;
	t->keys = xreallocarray(t->keys, t->batch, t->key_size);
	t->values = xreallocarray(t->values, t->batch, t->value_stride);
	return true;
}

/* Returns 0, what `fn` returned, or -EOPNOTSUPP when there are no batches here (nothing was handed out
 * then). */
static int read_batches(struct maptable *t, maptable_fn *fn, void *ctx, struct err *e)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	bool first = true, done = false;
	int code = 0;

	while (!done && !code) {
		uint32_t rows = t->batch;

		if (bpf_map_lookup_batch(t->fd, first ? NULL : t->position, t->position_next,
					 t->keys, t->values, &rows, &opts)) {
			if (errno == ENOSPC && batch_grow(t))
				continue;
			if (errno != ENOENT) /* that is the end, with the last rows */
				return first && errno != EPERM ? -EOPNOTSUPP
							       : fail(e, errno, "table '%s': %s",
								      t->name, strerror(errno));
			done = true;
		}
		code = batch_hand_out(t, rows, fn, ctx);
		memcpy(t->position, t->position_next, sizeof(t->position));
		first = false;
	}
	return code;
}

/* Key by key. A row deleted under our feet makes the kernel begin anew, so the number is bounded. */
static int read_keys(struct maptable *t, maptable_fn *fn, void *ctx, struct err *e)
{
	unsigned char *last = NULL;
	int code = 0;

	for (uint64_t n = 0; n < (uint64_t)t->max_entries * TRIES_MAX && !code; n++) {
		if (bpf_map_get_next_key(t->fd, last, t->keys)) {
			if (errno == ENOENT)
				return 0;
			return fail(e, errno, "table '%s': %s", t->name, strerror(errno));
		}
		last = t->keys;
		if (bpf_map_lookup_elem(t->fd, last, t->values)) {
			if (errno == ENOENT)
				continue;
			return fail(e, errno, "table '%s': %s", t->name, strerror(errno));
		}
		code = row_hand_out(t, last, t->values, fn, ctx);
	}
	return code;
}

int maptable_read(struct maptable *t, maptable_fn *fn, void *ctx, struct err *e)
{
	int code = -EOPNOTSUPP;

	if (!t->no_batches)
		code = read_batches(t, fn, ctx, e);
	if (code != -EOPNOTSUPP)
		return code;
	t->no_batches = true;
	return read_keys(t, fn, ctx, e);
}

bool maptable_get(const struct object *o, const char *map, const void *key, size_t key_size,
		  void *ret_value, size_t value_size)
{
	struct object_map told;
	int fd = object_map_fd(o, map);

	return fd >= 0 && object_map_find(o, map, &told) && !told.per_cpu &&
	       told.key_size == key_size && told.value_size == value_size &&
	       !bpf_map_lookup_elem(fd, key, ret_value);
}
