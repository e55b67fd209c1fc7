/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Files that processes run code of, each once. A file is found when it is first seen, while the process
 * that has it still lives: its path may mean something else in a container, or later. Symbols are read
 * when they are first asked for; of those longest unused the memory is given back. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "symbols/symtab.h"

struct files;

enum { FILES_MAX = 16384, FILES_OPEN_MAX = 256, FILES_BYTES_MAX = 64 * 1024 * 1024 };

/* What code is mapped from. */
enum file_what {
	FILE_ELF,
	FILE_VDSO,
	FILE_JIT,   /* nothing: code that the process made itself */
	FILE_OTHER, /* [vsyscall] ... */
};

struct mapped_file {
	enum file_what what;
	char *path;       /* as the kernel tells it, without " (deleted)" */
	const char *name; /* its last part, or "[vdso]" */
	uint64_t inode;
	unsigned users;
	int fd; /* held where the path does not lead there; -1 */
	bool unreadable;
	struct elf_image *image; /* NULL: not read */
	uint64_t used;           /* when it was last looked into: a count */
};

MUST_USE struct files *files_new(void);
void files_free(struct files *f);
AUTO_PTR(files)

/* The file at `path` with that inode number, as process `pid` has it mapped at `start`. The caller is a
 * user of it until files_drop(). */
MUST_USE struct mapped_file *files_get(struct files *f, const char *path, size_t path_len,
				       uint32_t major, uint32_t minor, uint64_t inode, uint32_t pid,
				       uint64_t start, uint64_t end);
void files_use(struct mapped_file *file);
void files_drop(struct files *f, struct mapped_file *file);

/* The function at a place in the file; false: there is no name for it. */
MUST_USE bool files_find(struct files *f, struct mapped_file *file, uint64_t offset,
			 struct symbol *ret);
