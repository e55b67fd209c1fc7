/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Names of C++ and Rust functions as people write them, without parameters. Any thread. */
#include "base/attr.h"

/* free() it; NULL: the name is not mangled, or too long to be worth it. Holds no ';' and no byte that is
 * not printable. */
MUST_USE char *demangle(const char *name);
