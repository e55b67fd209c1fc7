/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What a PARAM_FILE is given: a path, resolved to what the kernel knows a file by. */
#include "base/attr.h"

struct err;
struct param_file;

/* The file at `path`, which need not exist as long as its directory does. Errors: of stat(2) and
 * realpath(3), ENAMETOOLONG. */
MUST_USE int param_file_resolve(const char *path, struct param_file *ret, struct err *e);
