/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Users from their file, without NSS (a static binary has none). The file is looked at again at most
 * once a second, and read again when it has changed. Users known only to LDAP
 * and the like stay numbers. One thread at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct accounts;
struct strlist;

#define ACCOUNTS_PATH "/etc/passwd"

/* Never NULL; a file that can't be read is as if empty. `path`: as ACCOUNTS_PATH is. */
MUST_USE struct accounts *accounts_new(const char *path);
void accounts_free(struct accounts *a);
AUTO_PTR(accounts)

/* The name, or NULL. Valid until the next call. */
MUST_USE const char *user_name(struct accounts *a, uint32_t uid);
/* False when there is no such name (or number: "1000" is understood). */
MUST_USE bool user_id(struct accounts *a, const char *name, uint32_t *ret_uid);
/* Appends the names of all users, in no particular order. */
void user_names(struct accounts *a, struct strlist *names);
/* Looks at the file now. */
void accounts_refresh(struct accounts *a);
