/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Runs on no kernel, for two reasons. */
#include "sonda.bpf.h"

PROBE(impossible, "test", "Runs on no kernel");

ALT(only, 1) NEED("func no_such_function") SEC("?raw_tp/sys_enter") int first(void *ctx)
{
	return 0;
}
ALT(only, 2) NEED("type no_such_type") SEC("?raw_tp/sys_enter") int second(void *ctx)
{
	return 0;
}
