/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes globs: the first line is the pattern, the rest the text. No crash, and an end. */
#include "base/err.h"
#include "base/glob.h"
#include "base/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	auto_free char *pattern = xstrndup((const char *)bytes, len);
	char *text = strchr(pattern, '\n');
	struct err e;

	if (!text)
		return 0;
	*text++ = '\0';
	return (glob_matches(pattern, text) | glob_check(pattern, &e)) & 0;
}
