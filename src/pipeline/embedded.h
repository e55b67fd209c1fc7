/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The objects in the binary, compressed; the table is written by tools/embed. */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

struct embedded_probe {
	const char *name;  /* "fs.open" */
	const void *bytes; /* a zstd frame; but for the base it has the base's object as its dictionary */
	uint64_t size;
	uint64_t unpacked_size;
};
extern const struct embedded_probe embedded_probes[];
extern const uint64_t embedded_probe_count;
extern const uint64_t embedded_base; /* its row */

/* One thread. The object as it was compiled: `unpacked_size` bytes, the caller's; free() them. Errors: EINVAL (this
 * binary is damaged). */
MUST_USE int embedded_unpack(const struct embedded_probe *probe, void **ret_bytes, struct err *e);
