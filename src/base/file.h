/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Small files, whole: reading, atomic writing, directories, numbers from procfs and sysfs. Errors
 * name the file and the call ("open '/x': No such file or directory"). Any thread.
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;

enum { FILE_READ_MAX = 64 * 1024 * 1024 }; /* bytes; more is EFBIG */

/* The whole file and a NUL after it; free() it. `ret_len` may be NULL. Works on procfs, where the
 * size isn't known. Errors: of open and read, EFBIG, EISDIR. */
MUST_USE int file_read(const char *path, char **ret_bytes, size_t *ret_len, struct err *e);
/* The same relative to a directory (AT_FDCWD for the current one). */
MUST_USE int file_read_at(int dir_fd, const char *path, char **ret_bytes, size_t *ret_len,
			  struct err *e);
/* All that is left in an open descriptor, which stays open. */
MUST_USE int file_read_fd(int fd, const char *name, char **ret_bytes, size_t *ret_len,
			  struct err *e);
/* The first line without its newline, cut to `size` - 1 bytes. */
MUST_USE int file_line(const char *path, char *line, size_t size, struct err *e);
/* The first line as a number (decimal or 0x; the signed one with a sign). EINVAL: it isn't one. */
MUST_USE int file_u64(const char *path, uint64_t *ret_value, struct err *e);
MUST_USE int file_s64(const char *path, int64_t *ret_value, struct err *e);

MUST_USE bool file_exists(const char *path);

/* Replaces `path` in one step: a new file beside it, synced, renamed over it. On failure the
 * old one is as it was and nothing is left behind. */
MUST_USE int file_write(const char *path, const void *bytes, size_t len, mode_t mode,
			struct err *e);

/* Writes all of it, whatever write(2) takes at a time. 0 or -errno. */
MUST_USE int fd_write_all(int fd, const void *bytes, size_t len);

/* "dir/name" with one slash between, `name` alone if it is absolute. ENAMETOOLONG. */
MUST_USE int path_join(char out[static PATH_MAX], const char *dir, const char *name, struct err *e);
/* The part after the last slash. */
MUST_USE const char *path_base(const char *path);

/* Calls `fn` for each entry but "." and "..", in no particular order, until it returns
 * non-zero, which is returned. `dir_fd` is the open directory, `type` a DT_... value. */
typedef int dir_fn(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e);
MUST_USE int dir_each(const char *path, dir_fn *fn, void *ctx, struct err *e);

/* Where this program's file is. */
MUST_USE int proc_self_exe(char out[static PATH_MAX], struct err *e);
