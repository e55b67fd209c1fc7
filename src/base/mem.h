/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Memory and descriptors with owners. The x... family never returns NULL: out of memory ends the
 * program with a message (status 1), so it is for set-up and control paths, not per event.
 * Locals that own say so: `auto_free char *s = NULL;`; what leaves goes through TAKE_PTR/TAKE_FD.
 * See also arena.h (many small things, one end) and vec.h (growable arrays).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

void *xmalloc(size_t size) MUST_USE RETURNS_NONNULL;
void *xcalloc(size_t count, size_t size) MUST_USE RETURNS_NONNULL; /* zeroed */
void *xrealloc(void *ptr, size_t size) MUST_USE RETURNS_NONNULL;
void *xreallocarray(void *ptr, size_t count, size_t size) MUST_USE RETURNS_NONNULL;
char *xstrdup(const char *s) MUST_USE RETURNS_NONNULL;
char *xstrndup(const char *s, size_t max_len) MUST_USE RETURNS_NONNULL;
void *xmemdup(const void *bytes, size_t size) MUST_USE RETURNS_NONNULL;
char *xasprintf(const char *fmt, ...) MUST_USE RETURNS_NONNULL PRINTF(1, 2);
char *xvasprintf(const char *fmt, va_list ap) MUST_USE RETURNS_NONNULL PRINTF(1, 0);

/* One zeroed object of a type: `struct ring *r = xnew(struct ring);` */
#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

/* The way out for what an auto_ variable owns: yields the value, leaves NULL or -1 behind. */
#define TAKE_PTR(p)                           \
	({                                    \
		__typeof__(p) take_ptr = (p); \
		(p) = NULL;                   \
		take_ptr;                     \
	})
#define TAKE_FD(fd)                 \
	({                          \
		int take_fd = (fd); \
		(fd) = -1;          \
		take_fd;            \
	})

/* Closes if it is open (fd >= 0), sets -1, keeps errno. */
void fd_close(int *fd);

static inline void auto_free_end(void *ptr)
{
	free(*(void **)ptr);
}
static inline void auto_fclose_end(FILE **file)
{
	if (*file)
		fclose(*file);
}
#define auto_free   CLEANUP(auto_free_end)
#define auto_close  CLEANUP(fd_close)
#define auto_fclose CLEANUP(auto_fclose_end)

/* `auto_ptr(schema) s = NULL;` is a `struct schema *` that ends with schema_free(s). The header
 * that declares schema_free() says AUTO_PTR(schema) after it. `auto_done(strbuf) b = { 0 };` is
 * a `struct strbuf` that ends with strbuf_done(&b); there is nothing to declare for that. */
#define AUTO_PTR(type)                                      \
	static inline void type##_auto_end(struct type **p) \
	{                                                   \
		type##_free(*p);                            \
	}
#define auto_ptr(type)  CLEANUP(type##_auto_end) struct type *
#define auto_done(type) CLEANUP(type##_done) struct type
