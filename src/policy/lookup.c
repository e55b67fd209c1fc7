/* SPDX-License-Identifier: BSD-2-Clause */
/* Files by their inodes, and by all names that the mounts of this machine give them. */
#include "policy/lookup.h"

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

struct mount {
	unsigned long long id;
	unsigned major, minor;
	char *root, *place; /* of the file system, and where it is */
};

struct known {
	char *real;
	struct statx is;      /* stx_mask 0: there is nothing */
	struct strlist names; /* by which it is reached; empty until somebody asks */
};

struct lookup {
	vec(struct mount) mounts;
	struct map known; /* path -> struct known */
};

/* ---- mounts ---- */

/* "\040" in mountinfo is a blank. */
static char *unescaped(const char *text, size_t len)
{
	char *out = xstrndup(text, len);

	str_unescape_octal(out);
	return out;
}

/* "36 35 98:0 /root /place ..." */
static void mount_add(struct lookup *f, const char *line)
{
	struct mount m = { 0 };
	int root, root_end, place, place_end;

	if (sscanf(line, "%llu %*u %u:%u %n%*s%n %n%*s%n", &m.id, &m.major, &m.minor, &root,
		   &root_end, &place, &place_end) != 3)
		return;
	m.root = unescaped(line + root, (size_t)(root_end - root));
	m.place = unescaped(line + place, (size_t)(place_end - place));
	vec_push(&f->mounts, m);
}

struct lookup *lookup_new(void)
{
	struct lookup *f = xnew(struct lookup);
	auto_free char *text = NULL;
	struct err ignored;

	if (file_read("/proc/self/mountinfo", &text, NULL, &ignored) < 0)
		return f;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		mount_add(f, line);
	return f;
}

static void known_free(void *value)
{
	struct known *k = value;

	strlist_done(&k->names);
	free(k->real);
	free(k);
}

void lookup_free(struct lookup *f)
{
	if (!f)
		return;
	vec_for_each(m, &f->mounts) {
		free(m->root);
		free(m->place);
	}
	vec_done(&f->mounts);
	map_done(&f->known, known_free);
	free(f);
}

/* ---- names ---- */

/* What follows the directory in the path: "" or "/..."; NULL: it isn't below. */
static const char *behind(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len && dir[len - 1] == '/')
		len--;
	if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

bool path_is_below(const char *path, const char *dir)
{
	return behind(path, dir) != NULL;
}

static bool is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_mask & b->stx_mask & STATX_INO && a->stx_ino == b->stx_ino &&
	       a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

/* A name is worth something only where no other mount lies over it. */
static void name_add(struct known *k, const char *place, const char *rest)
{
	auto_free char *name = xasprintf("%s%s", str_eq(place, "/") && *rest ? "" : place, rest);
	struct statx is = { 0 };

	if (statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, STATX_INO, &is) == 0 && is_same(&is, &k->is))
		strlist_add(&k->names, name);
}

/* By each mount of its file system that shows it. */
static void names_by_mounts(const struct lookup *f, struct known *k)
{
	const struct mount *own = NULL;
	auto_free char *within = NULL;
	const char *rest;

	vec_for_each(m, &f->mounts)
		if (k->is.stx_mask & STATX_MNT_ID && m->id == k->is.stx_mnt_id)
			own = m;
	rest = own ? behind(k->real, own->place) : NULL;
	if (!rest)
		return;
	within = xasprintf("%s%s", str_eq(own->root, "/") ? "" : own->root, rest);
	vec_for_each(m, &f->mounts) {
		if (m == own || m->major != own->major || m->minor != own->minor)
			continue;
		rest = behind(within, m->root);
		if (rest)
			name_add(k, m->place, rest);
	}
}

static struct known *known_of(struct lookup *f, const char *path);

/* What isn't there has a place in each of its directory's names. */
static const struct strlist *names_of(struct lookup *f, struct known *k)
{
	const char *slash = strrchr(k->real, '/');

	if (k->names.len)
		return &k->names;
	strlist_add(&k->names, k->real);
	if (k->is.stx_mask) {
		names_by_mounts(f, k);
	} else if (slash && slash > k->real) {
		auto_free char *dir = xstrndup(k->real, (size_t)(slash - k->real));
		const struct strlist *dirs = names_of(f, known_of(f, dir));

		for (size_t i = 0; i < dirs->len; i++) {
			auto_free char *name = xasprintf("%s%s", dirs->at[i], slash);

			strlist_add(&k->names, name);
		}
	}
	return &k->names;
}

/* Its own, or of what isn't there its directory's and the name. */
static char *real_of(const char *path)
{
	char *real = realpath(path, NULL);
	const char *slash = strrchr(path, '/');
	auto_free char *dir = NULL, *real_dir = NULL;

	if (real || !slash || slash == path)
		return real ?: xstrdup(path);
	dir = xstrndup(path, (size_t)(slash - path));
	real_dir = realpath(dir, NULL);
	return xasprintf("%s%s", !real_dir ? dir : str_eq(real_dir, "/") ? "" : real_dir, slash);
}

static struct known *known_of(struct lookup *f, const char *path)
{
	struct known *k = map_get_str(&f->known, path);

	if (k)
		return k;
	k = xnew(struct known);
	k->real = real_of(path);
	if (statx(AT_FDCWD, k->real, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_MNT_ID, &k->is) != 0)
		k->is.stx_mask = 0;
	map_put_str(&f->known, path, k);
	return k;
}

/* ---- questions ---- */

bool lookup_same(struct lookup *f, const char *a, const char *b)
{
	struct known *x = known_of(f, a), *y = known_of(f, b);

	return is_same(&x->is, &y->is) || strlist_has(names_of(f, x), y->real);
}

bool lookup_below(struct lookup *f, const char *path, const char *dir)
{
	const struct strlist *names = names_of(f, known_of(f, path));
	const char *real = known_of(f, dir)->real;

	for (size_t i = 0; i < names->len; i++)
		if (path_is_below(names->at[i], real))
			return true;
	return false;
}
