/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads whatever it is given as a recorded schema. */
#include "base/err.h"
#include "schema/describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	auto_ptr(schema) s = NULL;
	struct err e;
	size_t used;
	return schema_decode(bytes, size, &s, &used, &e) ? 0 : 0;
}
