/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Elements of maps, written and read by their bytes: for what the user side lays into a guard's maps.
 * Reading whole tables is maptable.h's. `fd` is a map's descriptor, borrowed. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

struct map_shape {
	const char *name; /* at most 15 bytes */
	enum { MAP_ARRAY, MAP_PERCPU_ARRAY, MAP_HASH } type;
	uint32_t key_size, value_size, max_entries;
	bool mappable;  /* an array that can be mapped into memory: map_word() */
	bool on_demand; /* a hash that takes memory for an element only when that is there */
};
/* A map of its own. *ret_fd is the caller's. Errors: EPERM (EXIT_DENIED), ENOMEM. */
MUST_USE int map_make(const struct map_shape *shape, int *ret_fd, struct err *e);

/* Has the map that shape, name apart? */
MUST_USE bool map_has_shape(int fd, const struct map_shape *shape);

/* Errors: E2BIG (full), ENOMEM. `what` is for the message: "the rules". */
MUST_USE int map_set(int fd, const char *what, const void *key, const void *value, struct err *e);
/* false: there is no such element. */
MUST_USE bool map_get_value(int fd, const void *key, void *ret_value);
/* No effect when it isn't there. */
void map_unset(int fd, const void *key);

/* The key that comes after `key` (NULL: the first); false: there is none. `key` may be gone since. */
MUST_USE bool map_next_key(int fd, const void *key, void *ret_next);

/* Of a per-CPU map: the sum over CPUs of values that consist of u64s; and all of them to zero. */
MUST_USE bool map_sum(int fd, const void *key, uint64_t *ret_sum, size_t count);
MUST_USE int map_zero_percpu(int fd, const char *what, const void *key, size_t value_size,
			     struct err *e);

/* The first eight bytes of an array that is mappable, shared with the kernel: written at once, never torn.
 * Unmapped by map_word_done(). */
MUST_USE int map_word(int fd, uint64_t **ret_word, struct err *e);
void map_word_done(uint64_t *word);
