/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks cgroups up in the hierarchy of version 2; a directory's inode number is the cgroup's id. */
#include "pipeline/cgroups.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <sys/stat.h>

/* The path of `name` without that of the hierarchy, if it begins with it. */
static const char *below_mount(const char *name)
{
	auto_fclose FILE *mounts = setmntent("/proc/self/mounts", "re");
	const char *rest = NULL;
	struct mntent *m;

	while (!rest && mounts && (m = getmntent(mounts)))
		if (str_eq(m->mnt_type, "cgroup2"))
			rest = str_after(name, m->mnt_dir);
	return rest ?: name;
}

static int dir_id(const char *path, uint64_t *ret_id)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return -ENOENT;
	*ret_id = st.st_ino;
	return 0;
}

/* Looks for a directory called `name` below `dir`, nearest first. */
struct search {
	const char *name;
	uint64_t id;
};

static int search_below(const char *dir, struct search *s, unsigned depth, struct err *e);

struct search_dir {
	const char *dir;
	struct search *search;
	unsigned depth;
};

static int search_entry(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct search_dir *d = ctx;
	char path[PATH_MAX];

	(void)dir_fd;
	if (type != DT_DIR)
		return 0;
	if (path_join(path, d->dir, name, e) < 0)
		return 0;
	if (str_eq(name, d->search->name))
		return dir_id(path, &d->search->id) ? 0 : 1;
	return d->depth ? search_below(path, d->search, d->depth - 1, e) : 0;
}

static int search_below(const char *dir, struct search *s, unsigned depth, struct err *e)
{
	struct search_dir d = { .dir = dir, .search = s, .depth = depth };

	return dir_each(dir, search_entry, &d, e);
}

/* By the hierarchy's own descriptor: it need not be mounted, nor in sight. */
int cgroup_find(const char *name, uint64_t *ret_id, struct err *e)
{
	char root[64], path[PATH_MAX];
	struct search s = { .name = name };
	const char *rest = below_mount(name);
	int fd, err = cgroup_root_fd(&fd, e);

	if (err)
		return err;
	str_format(root, sizeof(root), "/proc/self/fd/%d", fd);
	if (!path_join(path, root, rest + strspn(rest, "/"), e) && !dir_id(path, ret_id))
		return 0;
	if (!strchr(name, '/') && search_below(root, &s, 16, e) == 1) {
		*ret_id = s.id;
		return 0;
	}
	return fail(e, ENOENT, "there is no cgroup or unit '%s' in the hierarchy of version 2",
		    name);
}
