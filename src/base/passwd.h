/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Users and groups from their files, without NSS (a static binary has none). The files are looked
 * at again at most once a second, and read again when they have changed. Users known only to LDAP
 * and the like stay numbers. One thread at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"

struct accounts;

/* Never NULL; a file that can't be read is as if empty. NULL paths: /etc/passwd and /etc/group. */
MUST_USE struct accounts *accounts_new(const char *passwd_path, const char *group_path);
void accounts_free(struct accounts *a);
AUTO_PTR(accounts)

/* The name, or NULL. Valid until the next call. */
MUST_USE const char *user_name(struct accounts *a, uint32_t uid);
MUST_USE const char *group_name(struct accounts *a, uint32_t gid);
/* False when there is no such name (or number: "1000" is understood). */
MUST_USE bool user_id(struct accounts *a, const char *name, uint32_t *ret_uid);
MUST_USE bool group_id(struct accounts *a, const char *name, uint32_t *ret_gid);
/* Looks at the files now. */
void accounts_refresh(struct accounts *a);
