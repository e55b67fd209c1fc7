/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What an ELF file says of its functions: .symtab, else .dynsym with .gnu_debugdata and a separate debug
 * file by build id. Files are foreign input: all is bounded, and read with pread, so that a file that
 * shrinks does no harm. One thread.
 */
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "symbols/symtab.h"

struct elf_image;

/* `fd` stays the caller's. NULL: no ELF file, or one without code. */
MUST_USE struct elf_image *elf_image_read(int fd);
/* One in memory (the vdso), which is borrowed for the call. */
MUST_USE struct elf_image *elf_image_of(const void *bytes, size_t len);
void elf_image_free(struct elf_image *image);
AUTO_PTR(elf_image)

MUST_USE size_t elf_image_bytes(const struct elf_image *image);
/* The function at a place in the file. False: no symbol is there. `ret->start` becomes a place in the
 * file too. */
MUST_USE bool elf_image_find(struct elf_image *image, uint64_t file_offset, struct symbol *ret);
