/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads whatever it is given as a compiled probe: corrupted objects must never crash anything. */
#include "base/err.h"
#include "bpf/object.h"
#include "schema/declaration.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	auto_ptr(object) o = NULL;
	auto_ptr(declaration) d = NULL;
	struct err e;
	return object_open("fuzz", bytes, size, &o, &e) || declaration_read(o, "fuzz", &d, &e) ? 0 : 0;
}
