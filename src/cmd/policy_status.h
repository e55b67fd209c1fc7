/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What a policy in force does, as text or JSON. */
#include "base/attr.h"

struct enforce;
struct err;

/* `format`: "text" or "json"; NULL: text. Prints to the standard output. Returns EXIT_OK or -errno. */
MUST_USE int policy_status_print(struct enforce *f, const char *format, struct err *e);
