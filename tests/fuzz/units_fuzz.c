/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes the parsers of quantities: no crash, and what is written exactly parses back. */
#include "base/err.h"
#include "base/mem.h"
#include "base/units.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	auto_free char *text = xstrndup((const char *)bytes, len);
	char out[UNIT_TEXT_MAX];
	uint64_t value, again;
	struct err e;

	if (!duration_parse(text, &value, &e) && duration_format_exact(out, value))
		assert(!duration_parse(out, &again, &e) && again == value);
	if (!bytes_parse(text, &value, &e) && bytes_format_exact(out, value))
		assert(!bytes_parse(out, &again, &e) && again == value);
	return rate_parse(text, &value, &e) & 0;
}
