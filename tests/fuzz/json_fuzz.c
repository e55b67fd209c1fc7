/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes the reader of JSON. No crash, and an end. */
#include "base/err.h"
#include "base/json_read.h"
#include "base/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int ignore(const char *key, enum json_type type, const char *text, void *ctx, struct err *e)
{
	(void)ctx, (void)e;
	return (int)(strlen(key) + strlen(text) + type) & 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	auto_free char *text = xstrndup((const char *)bytes, len);
	struct err e;

	return json_read_object(text, ignore, NULL, &e) & 0;
}
