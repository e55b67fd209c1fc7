/* SPDX-License-Identifier: BSD-2-Clause */
/* Pinning and finding again. */
#include "bpf/pins.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/parts.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BPF_FS "/sys/fs/bpf"

static int failed(const char *what, const char *path, struct err *e)
{
	int code = errno;

	return fail_as(e, code == EPERM || code == EACCES ? EXIT_DENIED : EXIT_FAILED, code,
		       "%s '%s': %s", what, path, strerror(code));
}

static int bpf_fs_ready(struct err *e)
{
	struct statfs fs;

	if (!statfs(BPF_FS, &fs) && (unsigned)fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", BPF_FS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return failed("mount the BPF file system at", BPF_FS, e);
	return 0;
}

static int path_of(char out[static PATH_MAX], const char *below, struct err *e)
{
	if (!str_format(out, PATH_MAX, PINS_ROOT "%s%s", *below ? "/" : "", below))
		return fail(e, ENAMETOOLONG, "'%s' is too long a name", below);
	return 0;
}

int pins_make(const char *dir, struct err *e)
{
	char path[PATH_MAX];

	if (bpf_fs_ready(e) < 0 || path_of(path, dir, e) < 0)
		return -e->code;
	if (mkdir(PINS_ROOT, 0700) && errno != EEXIST)
		return failed("mkdir", PINS_ROOT, e);
	if (mkdir(path, 0700) && errno != EEXIST)
		return failed("mkdir", path, e);
	return 0;
}

bool pins_have(const char *below)
{
	char path[PATH_MAX];
	struct err e;

	return path_of(path, below, &e) == 0 && file_exists(path);
}

static int remove_entry(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	char below[PATH_MAX];

	if (type == DT_DIR) {
		if (path_join(below, ctx, name, e) < 0)
			return -e->code;
		return pins_remove(below, e);
	}
	return unlinkat(dir_fd, name, 0) ? failed("unlink", name, e) : 0;
}

int pins_remove(const char *dir, struct err *e)
{
	char path[PATH_MAX];
	int err;

	if (path_of(path, dir, e) < 0)
		return -e->code;
	err = dir_each(path, remove_entry, (void *)(uintptr_t)dir, e);
	if (err == -ENOENT) {
		err_clear(e);
		return 0;
	}
	if (err < 0)
		return err;
	return rmdir(path) && errno != ENOENT ? failed("rmdir", path, e) : 0;
}

int pins_aside(struct err *e)
{
	return rename(PINS_ROOT, PINS_ASIDE) ? failed("rename", PINS_ROOT, e) : 0;
}

int pins_back(struct err *e)
{
	return rename(PINS_ASIDE, PINS_ROOT) ? failed("rename", PINS_ASIDE, e) : 0;
}

bool pins_are_aside(void)
{
	return file_exists(PINS_ASIDE);
}

int pins_aside_remove(struct err *e)
{
	if (!pins_are_aside())
		return 0;
	return pins_make("", e) < 0 ? -e->code : pins_remove("../sonda-before", e);
}

int pin_fd(int fd, const char *below, struct err *e)
{
	char path[PATH_MAX];

	if (path_of(path, below, e) < 0)
		return -e->code;
	return bpf_obj_pin(fd, path) ? failed("pin", path, e) : 0;
}

int pin_open(const char *below, int *ret_fd, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	if (path_of(path, below, e) < 0)
		return -e->code;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return failed("open", path, e);
	*ret_fd = fd;
	return 0;
}

static int pin_below(int fd, const char *dir, const char *name, struct err *e)
{
	char below[PATH_MAX];

	return path_join(below, dir, name, e) < 0 ? -e->code : pin_fd(fd, below, e);
}

int object_maps_share(struct object *o, const struct object *from, struct err *e)
{
	vec_for_each(m, &o->maps) {
		int fd = m->told.internal ? -1 : object_map_fd(from, m->told.name);

		if (fd >= 0 && object_map_share(o, m->told.name, fd, e) < 0)
			return -e->code;
	}
	return 0;
}

/* The first number that no pinned link has. */
static unsigned link_number(const char *dir)
{
	char below[PATH_MAX];
	unsigned number = 0;

	while (str_format(below, sizeof(below), "%s/link%u", dir, number) && pins_have(below))
		number++;
	return number;
}

int object_pin(const struct object *o, const char *dir, struct err *e)
{
	unsigned link = o->links_adopted, number = link_number(dir);

	vec_for_each(m, &o->maps) {
		int fd = m->shared_fd >= 0 ? -1 : object_map_fd(o, m->told.name);

		if (fd >= 0 && !m->told.internal && !m->adopted &&
		    pin_below(fd, dir, m->told.name, e) < 0)
			return -e->code;
	}
	for (int fd; (fd = links_fd(&o->links, link)) != -ENOENT; link++, number++) {
		char name[32];

		if (fd < 0)
			return fail(e, ENOTSUP, "'%s': one of its attachments can't be pinned",
				    o->name);
		(void)str_format(name, sizeof(name), "link%u", number);
		if (pin_below(fd, dir, name, e) < 0)
			return -e->code;
	}
	return 0;
}

static int adopt_map(struct map_part *m, const char *dir, struct err *e)
{
	char below[PATH_MAX];
	int fd, err;

	if (path_join(below, dir, m->told.name, e) < 0)
		return -e->code;
	if (!pins_have(below)) /* it wasn't needed */
		return 0;
	if (pin_open(below, &fd, e) < 0)
		return -e->code;
	err = bpf_map__reuse_fd(m->handle, fd);
	if (!err && (bpf_map__key_size(m->handle) != m->told.key_size ||
		     bpf_map__value_size(m->handle) != m->told.value_size))
		err = -EINVAL;
	m->adopted = !err;
	if (!err) {
		m->shared_fd = fd; /* until object_free(): loading takes it up anew */
		return 0;
	}
	close(fd);
	fail(e, -err, "'%s' was pinned by another version of sonda", below);
	return hint(e, "`sonda policy off` ends what is in force, then apply the policy again");
}

int object_adopt(struct object *o, const char *dir, struct err *e)
{
	if (!pins_have(dir))
		return fail(e, ENOENT, "'%s' is not in force", o->name);
	vec_for_each(m, &o->maps)
		if (!m->told.internal && adopt_map(m, dir, e) < 0)
			return -e->code;
	for (;; o->links_adopted++) {
		char below[PATH_MAX];
		int fd = -1;

		if (!str_format(below, sizeof(below), "%s/link%u", dir, o->links_adopted) ||
		    !pins_have(below))
			return 0;
		if (pin_open(below, &fd, e) < 0)
			return -e->code;
		links_add_fd(&o->links, fd);
	}
}
