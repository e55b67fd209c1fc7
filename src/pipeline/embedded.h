/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* The objects in the binary; the table is written by tools/embed. */
#include <stddef.h>
#include <stdint.h>

struct embedded_probe {
	const char *name; /* "fs.open" */
	const void *bytes;
	uint64_t size;
};
extern const struct embedded_probe embedded_probes[];
extern const uint64_t embedded_probe_count;
