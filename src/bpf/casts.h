/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Puts what abi/direct.h stands for into the instructions of a compiled probe. Inside src/bpf only. */
#include <stddef.h>

#include "base/attr.h"

struct err;
struct object;

/* A copy of the ELF file with what this kernel has; free() it. NULL: nothing in it asks for that. */
MUST_USE void *casts_copy(const void *elf, size_t size);

/* The same with an object's own bytes: it is opened anew by them. Errors: of opening. */
MUST_USE int casts_settle(struct object *o, struct err *e);
