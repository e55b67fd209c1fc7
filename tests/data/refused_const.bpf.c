/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Must be refused: a parameter without volatile, which the compiler has put into the code. */
#include "sonda.bpf.h"

PROBE(const_param, "test", "A parameter that has no effect");

const u32 depth TAG("param 1") DOC("levels shown") = 4;

SEC("raw_tp/sys_enter")
int const_enter(void *ctx)
{
	return depth;
}
