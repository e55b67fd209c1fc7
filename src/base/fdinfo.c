/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers out of fdinfo. */
#include "base/fdinfo.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

uint64_t fdinfo_number(const char *text, const char *key, int base)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

uint64_t fdinfo_own(int fd, const char *key)
{
	auto_free char *text = NULL;
	char path[64];
	struct err gone;

	str_format(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return file_read(path, &text, NULL, &gone) < 0 ? 0 : fdinfo_number(text, key, 10);
}
