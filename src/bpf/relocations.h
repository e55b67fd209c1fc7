/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The CO-RE relocations that a compiled probe asks libbpf for, read from its section .BTF.ext. The
 * object is foreign input: what doesn't hold together is refused. Inside src/bpf only.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/vec.h"

struct err;

/* What is asked of a type; the numbers are those of enum bpf_core_relo_kind. */
enum {
	RELOCATION_TYPE_ID_LOCAL = 6,
	RELOCATION_TYPE_ID_TARGET = 7,
	RELOCATION_TYPE_EXISTS = 8,
	RELOCATION_TYPE_MATCHES = 12,
};

struct relocation {
	uint32_t section; /* offset of the program section's name in the strings of the BTF */
	uint32_t offset;  /* of the instruction in that section, bytes */
	uint32_t type;    /* id in the object's BTF */
	uint32_t kind;
};
typedef vec(struct relocation) relocations;

/* Where the relocations lie in the file, to be rewritten; 0 bytes: it has none. */
struct relocation_place {
	size_t length_at; /* of the u32 that counts the bytes of what follows */
	size_t at, size;
};

/* Adds all to `to` (vec_done() it). Errors: EINVAL. */
MUST_USE int relocations_read(const void *elf, size_t size, relocations *to,
			      struct relocation_place *ret_place, struct err *e);

/* Takes those of one kind out of the file. */
void relocations_drop(void *elf, const struct relocation_place *place, uint32_t kind);

/* Hands each section with instructions to `fn`; none of a file that doesn't hold together. */
typedef void code_fn(void *code, size_t size, void *ctx);
void elf_code_each(void *elf, size_t size, code_fn *fn, void *ctx);

/* Where the bytes of section `name` lie in the file; NULL: it has none, or they lie outside. */
MUST_USE void *elf_section(void *elf, size_t size, const char *name, size_t *ret_size);
