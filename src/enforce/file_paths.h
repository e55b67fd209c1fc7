/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The paths of a policy, resolved to what the kernel knows files by. Each path is there once. Inside
 * src/enforce only. One thread.
 */
#include <stdbool.h>

#include "abi/policy_file.h"
#include "base/attr.h"
#include "base/map.h"
#include "base/vec.h"

struct err;

struct file_path {
	char *path;       /* absolute, links resolved */
	const char *name; /* in `path`: behind its last slash */
	struct file_id id;  /* inode 0: there is no such file yet */
	struct file_id dir; /* that has the name */
	struct file_object object; /* what the rules say */
	bool is_mount; /* a mount below a directory of the policy: known by its root alone */
};
/* `first` of FILE_NAME_BIT. */
MUST_USE uint64_t file_name_first(const char *name);

struct file_paths {
	vec(struct file_path) all;
	struct map by_path; /* path -> index + 1 */
};
void file_paths_done(struct file_paths *paths);

/* The entry of the file that `path` leads to now; it need not exist, its directory must.
 * Errors: ENOENT, those of realpath(3). */
MUST_USE int file_paths_add(struct file_paths *paths, const char *path, size_t *ret_index,
			    struct err *e);
/* Adds the mounts below the directories with rules, and gives all directories the rules of those above. */
MUST_USE int file_paths_nest(struct file_paths *paths, struct err *e);
/* Asks the kernel for the identities. */
MUST_USE int file_paths_identify(struct file_paths *paths, struct err *e);
