/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Reads a perf event array, for kernels without a ring buffer: one buffer a CPU, merged by the time
 * in the record header. Records are copied out. One thread at a time.
 */
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct perfring;

/* `fd` is a BPF_MAP_TYPE_PERF_EVENT_ARRAY, borrowed; its buffers are `size_bytes` together, a page for
 * each CPU at least. Errors: EPERM, ENOMEM, those of perf_event_open. */
MUST_USE int perfring_open(int fd, uint32_t size_bytes, struct perfring **ret, struct err *e);
void perfring_free(struct perfring *r);
AUTO_PTR(perfring)

/* Descriptors to wait on: one a CPU. */
MUST_USE unsigned perfring_fd_count(const struct perfring *r);
MUST_USE int perfring_fd(const struct perfring *r, unsigned nth);

/* Takes what the kernel has written, in order of time. What was lost the probe itself counts. */
void perfring_refresh(struct perfring *r);
/* The next record, or NULL; it stays until perfring_next(). */
MUST_USE const void *perfring_peek(struct perfring *r, uint32_t *ret_size);
void perfring_next(struct perfring *r);
