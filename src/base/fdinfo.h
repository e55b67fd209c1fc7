/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What /proc/PID/fdinfo/FD says of a descriptor: lines "key:\tvalue". Any thread. */
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

/* The number behind `key` ("pos:") in the text of such a file, in that base; 0: there is none. */
MUST_USE uint64_t fdinfo_number(const char *text, const char *key, int base);
/* The same, in decimal, of a descriptor of our own. */
MUST_USE uint64_t fdinfo_own(int fd, const char *key);
