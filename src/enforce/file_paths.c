/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths to identities: opened, and asked of a program in the kernel, because stat(2) has other numbers on
 * some file systems (btrfs, overlay) and no version. */
#include "enforce/file_paths.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/object.h"
#include "enforce/enforce.h"
#include "enforce/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of those that are looked at together; each takes two descriptors. */
enum { BATCH = 200 };

void file_paths_done(struct file_paths *paths)
{
	vec_for_each(f, &paths->all)
		free(f->path);
	vec_done(&paths->all);
	map_done(&paths->by_path, NULL);
}

/* ---- paths ---- */

uint64_t file_name_first(const char *name)
{
	uint64_t first = 0;

	memcpy(&first, name, min(strlen(name), sizeof(first)));
	return first;
}

/* Where `path` is really: for what doesn't exist, where it would be made. */
static int path_real(const char *path, char **ret_path, struct err *e)
{
	auto_free char *dir = NULL, *real_dir = NULL;
	char *real = realpath(path, NULL), *slash;

	if (real || errno != ENOENT) {
		*ret_path = real;
		return real ? 0 : fail(e, errno, "'%s': %s", path, strerror(errno));
	}
	dir = xstrdup(path);
	slash = strrchr(dir, '/');
	if (!slash || !slash[1])
		return fail(e, ENOENT, "'%s': %s", path, strerror(ENOENT));
	*slash = '\0';
	real_dir = realpath(*dir ? dir : "/", NULL);
	if (!real_dir)
		return fail(e, errno, "'%s': there is no directory '%s'", path, *dir ? dir : "/");
	*ret_path = xasprintf("%s/%s", str_eq(real_dir, "/") ? "" : real_dir, slash + 1);
	return 0;
}

static size_t paths_put(struct file_paths *paths, char *real)
{
	size_t index = (size_t)(uintptr_t)map_get_str(&paths->by_path, real);
	struct file_path *f;

	if (index) {
		free(real);
		return index - 1;
	}
	f = vec_add(&paths->all);
	f->path = real;
	f->name = strrchr(real, '/') + 1;
	map_put_str(&paths->by_path, real, (void *)(uintptr_t)paths->all.len);
	return paths->all.len - 1;
}

int file_paths_add(struct file_paths *paths, const char *path, size_t *ret_index, struct err *e)
{
	char *real;

	if (path_real(path, &real, e) < 0)
		return fail_as(e, EXIT_POLICY, e->code, "%s", e->text);
	*ret_index = paths_put(paths, real);
	return 0;
}

/* ---- directories in directories ---- */

static bool has_under(const struct file_path *f)
{
	for (int i = 0; i < RULE_WORDS; i++)
		if (f->object.under.words[i])
			return true;
	return false;
}

static bool is_below(const char *path, const char *dir)
{
	const char *rest = str_eq(dir, "/") ? path : str_after(path, dir);

	return rest && *rest == '/' && rest[1];
}

static bool is_below_any(const struct file_paths *paths, const char *path)
{
	vec_for_each(f, &paths->all)
		if (has_under(f) && is_below(path, f->path))
			return true;
	return false;
}

/* Whole file systems that are mounted below; the guard's hooks about names aren't told of mounts. */
static int mounts_add(struct file_paths *paths, struct err *e)
{
	auto_free char *text = NULL;
	char root[PATH_MAX], place[PATH_MAX];

	if (file_read("/proc/self/mountinfo", &text, NULL, e) < 0)
		return -e->code;
	for (char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%*u %*u %*s %4095s %4095s", root, place) != 2)
			continue;
		str_unescape_octal(place);
		if (!str_eq(root, "/") || !is_below_any(paths, place) ||
		    map_has_bytes(&paths->by_path, place, strlen(place)))
			continue;
		paths->all.at[paths_put(paths, xstrdup(place))].is_mount = true;
	}
	return 0;
}

static void set_add(struct rule_set *to, const struct rule_set *from)
{
	for (int i = 0; i < RULE_WORDS; i++)
		to->words[i] |= from->words[i];
}

int file_paths_nest(struct file_paths *paths, struct err *e)
{
	vec(struct rule_set) own = { 0 };

	if (mounts_add(paths, e) < 0)
		return -e->code;
	vec_for_each(f, &paths->all)
		vec_push(&own, f->object.under);
	for (size_t i = 0; i < paths->all.len; i++) {
		struct file_path *f = &paths->all.at[i];

		for (size_t k = 0; k < paths->all.len && (has_under(f) || f->is_mount); k++)
			if (is_below(f->path, paths->all.at[k].path))
				set_add(&f->object.under, &own.at[k]);
	}
	vec_done(&own);
	return 0;
}

/* ---- identities ---- */

/* A row of guard.identity. */
struct identity {
	uint32_t fd, device;
	uint64_t inode;
	uint32_t version, pad;
};

struct batch {
	struct file_path *files;
	size_t count;
	int fds[2 * BATCH]; /* of each: its own (-1: it isn't there), its directory's */
};

static int on_identity(const struct record *record, const void *bytes, void *ctx)
{
	const struct identity *row = bytes;
	struct batch *b = ctx;

	if (record->size < sizeof(*row))
		return 0;
	for (size_t i = 0; i < 2 * b->count; i++) {
		struct file_path *f = &b->files[i / 2];

		if (b->fds[i] == (int)row->fd)
			*(i % 2 ? &f->dir : &f->id) =
				(struct file_id){ row->inode, row->device, row->version };
	}
	return 0;
}

static int batch_open(struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct file_path *f = &b->files[i];
		auto_free char *dir = xstrndup(f->path, (size_t)max(f->name - f->path - 1, 1));

		b->fds[2 * i] = open(f->path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (b->fds[2 * i] < 0 && errno != ENOENT)
			return fail(e, errno, "'%s': %s", f->path, strerror(errno));
		b->fds[2 * i + 1] = open(dir, O_PATH | O_CLOEXEC);
		if (b->fds[2 * i + 1] < 0)
			return fail(e, errno, "'%s': %s", dir, strerror(errno));
	}
	return 0;
}

static int batch_check(const struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->files[i].dir.inode || (b->fds[2 * i] >= 0 && !b->files[i].id.inode))
			return fail(e, ESRCH, "'%s': the kernel does not tell what it is",
				    b->files[i].path);
	return 0;
}

static int batch_identify(const struct object *o, struct file_path *files, size_t count,
			  struct err *e)
{
	struct batch b = { .files = files, .count = count };
	int err;

	memset(b.fds, -1, sizeof(b.fds));
	err = batch_open(&b, e);
	if (!err)
		err = object_rows(o, "identify", on_identity, &b, e);
	if (!err)
		err = batch_check(&b, e);
	for (size_t i = 0; i < 2 * count; i++)
		fd_close(&b.fds[i]);
	return err;
}

int file_paths_identify(struct file_paths *paths, struct err *e)
{
	struct object *o;
	void *handle;
	int err;

	if (guard_source->open("guard.identity", &handle, &o, e) < 0)
		return -e->code;
	err = object_load(o, NULL, e);
	for (size_t i = 0; !err && i < paths->all.len; i += BATCH)
		err = batch_identify(o, paths->all.at + i, min(paths->all.len - i, (size_t)BATCH),
				     e);
	guard_source->close(handle);
	return err;
}
