/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A small BTF for libbpf. It looks for each kernel type that an object reads, by name, through all of
 * the kernel's types (150,000 in a distribution's kernel): 30 ms for a middling probe. Those few are
 * copied out here in one pass, without what their pointers lead to, which no relocation follows.
 * Inside src/bpf only.
 */
#include "base/attr.h"

struct err;
struct object;

/* Gives the object such a BTF and opens it anew by it, if that can't change what libbpf finds (as it
 * could with types of modules, or where whole types are compared); else leaves it as it is.
 * Errors: of opening. */
MUST_USE int object_trim(struct object *o, struct err *e);
