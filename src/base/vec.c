/* SPDX-License-Identifier: BSD-2-Clause */
/* The growing part of vec.h. */
#include "base/vec.h"

void *vec_grow(void *at, size_t *cap, size_t want, size_t size)
{
	size_t count = *cap ? *cap : 8;

	if (at && want <= *cap)
		return at;
	while (count < want)
		count = count <= SIZE_MAX / 2 ? count * 2 : want;
	at = xreallocarray(at, count, size);
	*cap = count;
	return at;
}
