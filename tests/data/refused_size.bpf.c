/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Must be refused: an event that never fits into a record. */
#define EVENT_MAX 512
#include "sonda.bpf.h"

PROBE(size, "test", "An event that is too large");

EVENT(size, "Too large") {
	char text[600];
};

SEC("raw_tp/sys_enter")
int size_enter(void *ctx)
{
	return bpf_core_type_id_local(struct size) == 0;
}
