/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that the kernel doesn't number for good: an overlay whose layers lie on different file systems (and
 * is mounted without xino) gives directories a new number when it forgets them, and may give two files the same.
 * It shows by the device that stat(2) tells of a file there, which isn't the directory's.
 */
#include "base/err.h"
#include "base/strbuf.h"
#include "enforce/file_hooks.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { LOOKED_AT = 1000 };

struct looking {
	struct strbuf *out;
	dev_t told; /* of the overlay that was told of last */
};

static bool is_elsewhere(int dir, const char *name, dev_t device)
{
	struct stat st;

	return !fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && !S_ISDIR(st.st_mode) &&
	       st.st_dev != device;
}

/* Is a file in the directory told to be on a device that the directory isn't on? */
static bool has_elsewhere(const char *path, dev_t *ret_device)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool found = false;
	struct stat st;

	if (!dir)
		return false;
	if (!fstat(dirfd(dir), &st)) {
		*ret_device = st.st_dev;
		for (int n = 0; !found && n < LOOKED_AT && (entry = readdir(dir)); n++)
			found = is_elsewhere(dirfd(dir), entry->d_name, st.st_dev);
	}
	closedir(dir);
	return found;
}

static int on_path(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct looking *l = ctx;
	char path[PATH_MAX];
	struct statfs fs;
	struct stat st;
	dev_t device;

	(void)at, (void)e;
	if (!realpath(text, path) || statfs(path, &fs) || fs.f_type != OVERLAYFS_SUPER_MAGIC ||
	    stat(path, &st))
		return 0;
	if (!S_ISDIR(st.st_mode))
		strrchr(path, '/')[1] = '\0';
	if (!has_elsewhere(path, &device) || device == l->told)
		return 0;
	l->told = device;
	strbuf_appendf(
		l->out,
		"%s: on this overlay numbers of files don't last: rules may lose directories, and take a file for another; mount it with xino=on\n",
		text);
	return 0;
}

void file_caution(const struct policy *p, struct strbuf *out)
{
	struct looking l = { .out = out };
	struct err ignored;

	vec_for_each(r, &p->rules) {
		if (r->object && r->object->form == FORM_PATH)
			(void)!policy_each(p, &r->objects, on_path, &l, &ignored);
		vec_for_each(c, &r->clauses)
			if (c->word->form == FORM_PATH)
				(void)!policy_each(p, &c->values, on_path, &l, &ignored);
	}
}
