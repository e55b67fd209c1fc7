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
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

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

/* A directory of root's, which nobody else may put something into, or take something out of that isn't his. */
static int root_alone(const char *path, mode_t others_may, struct err *e)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : failed("look at", path, e);
	if (S_ISDIR(st.st_mode) && !st.st_uid && !(st.st_mode & (S_IWGRP | S_IWOTH) & ~others_may))
		return 0;
	fail_as(e, EXIT_FAILED, EPERM,
		"'%s' is not root's alone (user %u, mode %04o), so what lies there can't be trusted",
		path, st.st_uid, st.st_mode & 07777);
	return str_eq(path, BPF_FS) ? hint(e, "chmod 0700 %s, and look at what lies there", path)
				    : hint(e, "see what it is, then take it away: rm -r %s", path);
}

int pins_check(struct err *e)
{
	struct stat st;
	mode_t sticky = !stat(BPF_FS, &st) && st.st_mode & S_ISVTX ? S_IWGRP | S_IWOTH : 0;

	if (root_alone(BPF_FS, sticky, e) < 0 || root_alone(PINS_ROOT, 0, e) < 0 ||
	    root_alone(PINS_ASIDE, 0, e) < 0)
		return -e->code;
	return faccessat(AT_FDCWD, PINS_ROOT, R_OK | X_OK, AT_EACCESS) && errno != ENOENT
		       ? failed("open", PINS_ROOT, e)
		       : 0;
}

int pins_make(const char *dir, struct err *e)
{
	char path[PATH_MAX];

	if (bpf_fs_ready(e) < 0 || path_of(path, dir, e) < 0 || pins_check(e) < 0)
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
	return rename(PINS_ROOT, PINS_ASIDE) && errno != ENOENT ? failed("rename", PINS_ROOT, e)
								: 0;
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
	return pins_make("", e) < 0 ? -e->code : pins_remove(PINS_ASIDE_BELOW, e);
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

/* ---- links: "link7"; and a directory "links8", which says how many there are to be ---- */

struct link_pins {
	unsigned end, count; /* of those that are there */
	unsigned noted;
	bool has_note;
};

static int link_pin_read(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	const char *number = str_after(name, type == DT_DIR ? "links" : "link");
	struct link_pins *pins = ctx;
	unsigned n;

	(void)dir_fd, (void)e;
	if (!number || *number < '0' || *number > '9')
		return 0;
	n = (unsigned)strtoul(number, NULL, 10);
	if (type == DT_DIR) {
		pins->noted = n;
		pins->has_note = true;
		return 0;
	}
	pins->end = max(pins->end, n + 1);
	pins->count++;
	return 0;
}

static void link_pins_read(const char *path, struct link_pins *ret)
{
	struct err ignored = { 0 };

	*ret = (struct link_pins){ 0 };
	(void)!dir_each(path, link_pin_read, ret, &ignored);
}

unsigned pins_links_end(const char *path)
{
	struct link_pins pins;

	link_pins_read(path, &pins);
	return pins.end;
}

/* *ret_fd -1: it isn't there. */
static int link_open(const char *dir, unsigned number, int *ret_fd, struct err *e)
{
	char below[PATH_MAX];

	*ret_fd = -1;
	if (!str_format(below, sizeof(below), "%s/link%u", dir, number) || !pins_have(below))
		return 0;
	return pin_open(below, ret_fd, e);
}

static void link_unpin(const char *dir, unsigned number)
{
	char path[PATH_MAX];

	if (str_format(path, sizeof(path), PINS_ROOT "/%s/link%u", dir, number))
		(void)!unlink(path);
}

int pins_aside_link(const char *dir, link_is_fn *is, const void *ctx)
{
	struct err ignored = { 0 };
	char below[PATH_MAX], path[PATH_MAX];

	if (!str_format(below, sizeof(below), PINS_ASIDE_BELOW "/%s", dir) ||
	    path_of(path, below, &ignored) < 0)
		return -1;
	for (unsigned number = 0, end = pins_links_end(path); number < end; number++) {
		struct bpf_link_info info = { 0 };
		__u32 len = sizeof(info);
		auto_close int fd = -1;

		if (!link_open(below, number, &fd, &ignored) && fd >= 0 &&
		    !bpf_link_get_info_by_fd(fd, &info, &len) && is(&info, ctx))
			return TAKE_FD(fd);
	}
	return -1;
}

typedef bool link_fn(int fd, uint32_t id);

/* Those of which `fn` says so. */
static void links_unpin(const char *dir, link_fn *fn, uint32_t id)
{
	struct err ignored = { 0 };
	char path[PATH_MAX];

	if (path_of(path, dir, &ignored) < 0)
		return;
	for (unsigned number = 0, end = pins_links_end(path); number < end; number++) {
		auto_close int fd = -1;

		if (!link_open(dir, number, &fd, &ignored) && fd >= 0 && fn(fd, id))
			link_unpin(dir, number);
	}
}

static bool is_gone(int fd, uint32_t id)
{
	(void)id;
	return !link_stands(fd);
}

static bool has_id(int fd, uint32_t id)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_link_get_info_by_fd(fd, &info, &len) && info.id == id;
}

void pins_link_remove(const char *dir, uint32_t id)
{
	links_unpin(dir, has_id, id);
}

static int links_note(const char *dir, struct err *e)
{
	char path[PATH_MAX], before[PATH_MAX], after[PATH_MAX];
	struct link_pins pins;

	if (path_of(path, dir, e) < 0)
		return -e->code;
	link_pins_read(path, &pins);
	if (!str_format(before, sizeof(before), "%s/links%u", path, pins.noted) ||
	    !str_format(after, sizeof(after), "%s/links%u", path, pins.count))
		return fail(e, ENAMETOOLONG, "'%s' is too long a name", path);
	if (pins.has_note ? !rename(before, after) : !mkdir(after, 0700))
		return 0;
	return failed("note the links in", path, e);
}

unsigned object_links_lost(const struct object *o, const char *dir, unsigned *ret_all)
{
	struct err ignored = { 0 };
	struct link_pins pins = { 0 };
	char path[PATH_MAX];
	unsigned stand = 0;

	if (path_of(path, dir, &ignored) == 0)
		link_pins_read(path, &pins);
	for (unsigned i = 0; i < o->links_adopted; i++)
		stand += link_stands(links_fd(&o->links, i));
	*ret_all = max(pins.noted, o->links_adopted);
	return *ret_all - stand;
}

static int links_pin(const struct object *o, const char *dir, struct err *e)
{
	unsigned link = o->links_adopted;
	char path[PATH_MAX];

	if (path_of(path, dir, e) < 0)
		return -e->code;
	links_unpin(dir, is_gone, 0);
	for (int fd; (fd = links_fd(&o->links, link)) != -ENOENT; link++) {
		char name[32];

		if (fd < 0)
			return fail(e, ENOTSUP, "'%s': one of its attachments can't be pinned",
				    o->name);
		(void)str_format(name, sizeof(name), "link%u", pins_links_end(path));
		if (pin_below(fd, dir, name, e) < 0)
			return -e->code;
	}
	return links_note(dir, e);
}

int object_pin(const struct object *o, const char *dir, struct err *e)
{
	vec_for_each(m, &o->maps) {
		int fd = m->shared_fd >= 0 ? -1 : object_map_fd(o, m->told.name);

		if (fd >= 0 && !m->told.internal && !m->adopted &&
		    pin_below(fd, dir, m->told.name, e) < 0)
			return -e->code;
	}
	return links_pin(o, dir, e);
}

static int adopt_map(struct map_part *m, const char *dir, struct err *e)
{
	char below[PATH_MAX];
	int fd = -1, err;

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
	char path[PATH_MAX];

	if (!pins_have(dir))
		return fail(e, ENOENT, "'%s' is not in force", o->name);
	vec_for_each(m, &o->maps)
		if (!m->told.internal && adopt_map(m, dir, e) < 0)
			return -e->code;
	if (path_of(path, dir, e) < 0)
		return -e->code;
	for (unsigned number = 0, end = pins_links_end(path); number < end; number++) {
		int fd;

		if (link_open(dir, number, &fd, e) < 0)
			return -e->code;
		if (fd < 0)
			continue;
		links_add_fd(&o->links, fd);
		o->links_adopted++;
	}
	return 0;
}
