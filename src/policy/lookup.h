/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What paths lead to on this machine: the same file by a symbolic or hard link, or by a bind mount, is the same,
 * as it is for the guards, which know files by inode. Each path is looked up once. One thread.
 */
#include <limits.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"

struct lookup;

/* Never NULL. The mounts are those of this moment. */
MUST_USE struct lookup *lookup_new(void);
void lookup_free(struct lookup *f);
AUTO_PTR(lookup)

/* Is it the same file? Also if there is none yet: by its name. */
MUST_USE bool lookup_same(struct lookup *f, const char *a, const char *b);
/* Is `path` the directory, or below it, by any of the mounts that it is reached by? */
MUST_USE bool lookup_below(struct lookup *f, const char *path, const char *dir);

/* The same by the letters alone. */
MUST_USE bool path_is_below(const char *path, const char *dir);
