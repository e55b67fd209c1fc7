/* SPDX-License-Identifier: BSD-2-Clause */
/* tracefs, cgroup2 and securityfs by the mount table, else by detached mounts. */
#include "bpf/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/mount.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { TRACEFS, CGROUP2, SECURITYFS, MOUNT_COUNT };

static struct mount {
	const char *type;
	const char *config; /* what the kernel was built without when it doesn't know the type */
	long magic;
	int fd;
} mounts[MOUNT_COUNT] = {
	[TRACEFS] = { "tracefs", "CONFIG_TRACING", TRACEFS_MAGIC, -1 },
	[CGROUP2] = { "cgroup2", "CONFIG_CGROUPS", CGROUP2_SUPER_MAGIC, -1 },
	[SECURITYFS] = { "securityfs", "CONFIG_SECURITYFS", SECURITYFS_MAGIC, -1 },
};

/* A line of mountinfo is "... root mount-point options ... - type source options". Only whole file
 * systems count (root "/"), else a container's bind mount would pass for the real root. */
static int mounted_open(const struct mount *m)
{
	auto_free char *line = NULL;
	auto_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
	char root[512], point[512], found[64];
	struct statfs fs;
	const char *tail;
	size_t cap = 0;
	int fd = -1;

	while (f && fd < 0 && getline(&line, &cap, f) > 0) {
		tail = strstr(line, " - ");
		if (!tail || sscanf(tail, " - %63s", found) != 1 || !str_eq(found, m->type) ||
		    sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2 || !str_eq(root, "/"))
			continue;
		str_unescape_octal(point);
		fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* another may be mounted over it */
		if (fd >= 0 && (fstatfs(fd, &fs) < 0 || fs.f_type != m->magic))
			fd_close(&fd);
	}
	return fd;
}

static int detached_open(const char *type)
{
	auto_close int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	auto_close int top = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	top = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (top < 0)
		return -1;
	/* what fsmount gives is an O_PATH descriptor */
	return openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int mount_fd(struct mount *m, int *ret_fd, struct err *e)
{
	if (m->fd < 0)
		m->fd = mounted_open(m);
	if (m->fd < 0)
		m->fd = detached_open(m->type);
	if (m->fd >= 0) {
		*ret_fd = m->fd;
		return 0;
	}
	if (errno == ENODEV)
		return fail_as(e, EXIT_KERNEL, ENODEV, "%s is not in this kernel (%s)", m->type,
			       m->config);
	return fail(e, errno, "%s can't be opened: %s", m->type, strerror(errno));
}

int tracefs_fd(int *ret_fd, struct err *e)
{
	return mount_fd(&mounts[TRACEFS], ret_fd, e);
}

int cgroup_root_fd(int *ret_fd, struct err *e)
{
	return mount_fd(&mounts[CGROUP2], ret_fd, e);
}

int tracepoint_id(const char *name, uint64_t *ret_id, struct err *e)
{
	auto_free char *text = NULL;
	char path[256], *end;
	uint64_t id;
	int fd;

	if (tracefs_fd(&fd, e) < 0)
		return wrap(e, "tracepoint %s", name);
	if (strstr(name, "..") || !str_format(path, sizeof(path), "events/%s/id", name))
		return fail(e, EINVAL, "tracepoint '%s': not SYSTEM/NAME", name);
	if (file_read_at(fd, path, &text, NULL, e) < 0) {
		if (e->code == ENOENT)
			return fail_as(e, EXIT_KERNEL, ENOENT, "tracepoint %s: not in this kernel",
				       name);
		return wrap(e, "tracepoint %s", name);
	}
	id = strtoull(text, &end, 10);
	if (end == text)
		return fail(e, EIO, "tracepoint %s: no number in tracefs", name);
	*ret_id = id;
	return 0;
}

static int system_has_tracepoint(int dir_fd, const char *name, unsigned char type, void *ctx,
				 struct err *e)
{
	const char *tracepoint = ctx;
	char path[512];

	(void)type;
	(void)e;
	return str_format(path, sizeof(path), "%s/%s", name, tracepoint) &&
	       !faccessat(dir_fd, path, F_OK, 0);
}

bool tracepoint_is_listed(const char *name)
{
	auto_free char *copy = xstrdup(name);
	char path[64];
	struct err e;
	int fd;

	if (tracefs_fd(&fd, &e) < 0)
		return true;
	str_format(path, sizeof(path), "/proc/self/fd/%d/events", fd);
	return dir_each(path, system_has_tracepoint, copy, &e) != 0;
}

bool securityfs_line(const char *name, char *line, unsigned size)
{
	auto_free char *text = NULL;
	struct err e;
	int fd;

	if (mount_fd(&mounts[SECURITYFS], &fd, &e) < 0 ||
	    file_read_at(fd, name, &text, NULL, &e) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	str_copy(line, size, text);
	return true;
}

/* "none [integrity] confidentiality": the one in brackets. */
void lockdown_mode(char *mode, unsigned size)
{
	char line[128], *from, *to;

	str_copy(mode, size, "none");
	if (!securityfs_line("lockdown", line, sizeof(line)))
		return;
	from = strchr(line, '[');
	to = from ? strchr(from, ']') : NULL;
	if (!to)
		return;
	*to = '\0';
	str_copy(mode, size, from + 1);
}
