/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What became of the operations one probe observed, summed over CPUs and time. */
#include <stdint.h>

#include "abi/record.h"

struct account {
	const char *probe;
	struct stats kernel; /* seen = sent + filtered + sum(lost) */
	uint64_t missed;     /* runs the kernel skipped: recursion_misses, missed kprobes */
	uint64_t received;   /* records read by us */
	uint64_t malformed;  /* records that did not fit their schema */
};
