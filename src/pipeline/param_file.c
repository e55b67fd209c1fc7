/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths to inode, device, and name in a directory. The device is the one of the kernel's super block,
 * which the mount tells: stat(2) of btrfs gives each subvolume its own.
 */
#include "pipeline/param_file.h"

#include "abi/param.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static uint32_t kernel_device(unsigned high, unsigned low)
{
	return high << 20 | low;
}

/* The mount that `fd` was opened through; false: this kernel's procfs doesn't say. */
static bool mount_of_fd(int fd, unsigned *ret_mount)
{
	auto_free char *path = xasprintf("/proc/self/fdinfo/%d", fd), *text = NULL;
	struct err ignored;
	char *at;

	if (file_read(path, &text, NULL, &ignored) < 0)
		return false;
	at = strstr(text, "mnt_id:");
	return at && sscanf(at, "mnt_id: %u", ret_mount) == 1;
}

/* Lines like "36 35 98:0 /mnt1 /mnt2 ...". */
static bool mount_device(unsigned mount, uint32_t *ret_device)
{
	auto_free char *text = NULL;
	unsigned id, parent, high, low;
	struct err ignored;

	if (file_read("/proc/self/mountinfo", &text, NULL, &ignored) < 0)
		return false;
	for (char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%u %u %u:%u", &id, &parent, &high, &low) == 4 && id == mount) {
			*ret_device = kernel_device(high, low);
			return true;
		}
	}
	return false;
}

/* What is at an absolute path. */
static int path_look_up(const char *path, struct stat *ret_st, uint32_t *ret_device, struct err *e)
{
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	unsigned mount;

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return fail(e, errno, "'%s': %s", path, strerror(errno));
	if (!mount_of_fd(fd, &mount) || !mount_device(mount, ret_device))
		*ret_device = kernel_device(major(ret_st->st_dev), minor(ret_st->st_dev));
	return 0;
}

/* What tells an inode from the next one of its number; 0: it can't be asked. */
static uint32_t path_generation(const char *path, mode_t mode)
{
	auto_close int fd = -1;
	uint32_t generation[2] = { 0 }; /* a long by its name; an int is what all write */

	if (!S_ISREG(mode) && !S_ISDIR(mode)) /* to open it could do something */
		return 0;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, FS_IOC_GETVERSION, generation) < 0)
		return 0;
	return generation[0];
}

static int path_put(char *to, size_t size, const char *path, uint32_t *ret_len, struct err *e)
{
	if (strlen(path) >= size)
		return fail(e, ENAMETOOLONG, "'%s' is longer than %zu bytes", path, size - 1);
	memcpy(to, path, strlen(path));
	*ret_len = (uint32_t)strlen(path);
	return 0;
}

/* `path` from the root on, no link resolved. */
static char *path_absolute(const char *path)
{
	auto_free char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	return here ? xasprintf("%s/%s", str_eq(here, "/") ? "" : here, path) : xstrdup(path);
}

/* Where `path` really is: for what does not exist, where it would be made. */
static int path_real(const char *path, char **ret_path, struct err *e)
{
	char *real = realpath(path, NULL);
	auto_free char *copy = NULL, *dir = NULL;
	char *slash;

	if (real || errno != ENOENT) {
		*ret_path = real;
		return real ? 0 : fail(e, errno, "'%s': %s", path, strerror(errno));
	}
	copy = xstrdup(path);
	slash = strrchr(copy, '/');
	*slash = '\0';
	if (!slash[1] || str_eq(slash + 1, ".") || str_eq(slash + 1, ".."))
		return fail(e, ENOENT, "'%s': %s", path, strerror(ENOENT));
	dir = realpath(*copy ? copy : "/", NULL);
	if (!dir)
		return fail(e, errno, "directory '%s': %s", copy, strerror(errno));
	*ret_path = xasprintf("%s/%s", str_eq(dir, "/") ? "" : dir, slash + 1);
	return 0;
}

static int dir_look_up(const char *real, struct param_file *f, struct err *e)
{
	auto_free char *dir = xstrdup(real);
	char *slash = strrchr(dir, '/');
	const char *name = strrchr(real, '/') + 1;
	struct stat st;

	f->name_len = (uint32_t)strlen(name);
	memcpy(f->name, name, f->name_len < sizeof(f->name) ? f->name_len : sizeof(f->name) - 1);
	slash[slash == dir] = '\0';
	if (path_look_up(dir, &st, &f->dir_device, e) < 0)
		return -e->code;
	f->dir_inode = st.st_ino;
	return 0;
}

int param_file_resolve(const char *path, struct param_file *ret, struct err *e)
{
	auto_free char *given = path_absolute(path), *real = NULL;
	struct param_file f = { 0 };
	struct stat st;
	int err;

	if (!*path)
		return fail(e, EINVAL, "a path is expected");
	err = path_real(given, &real, e);
	if (!err)
		err = path_put(f.given, sizeof(f.given), given, &f.given_len, e);
	if (!err)
		err = path_put(f.path, sizeof(f.path), real, &f.path_len, e);
	if (!err)
		err = dir_look_up(real, &f, e);
	if (!err && access(real, F_OK) == 0) {
		err = path_look_up(real, &st, &f.device, e);
		f.inode = st.st_ino;
		f.is_dir = S_ISDIR(st.st_mode);
		f.generation = path_generation(real, st.st_mode);
	}
	if (!err)
		*ret = f;
	return err;
}
