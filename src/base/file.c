/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files, whole. */
#include "base/file.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int file_read_fd(int fd, const char *name, char **ret_bytes, size_t *ret_len, struct err *e)
{
	auto_done(strbuf) all = { 0 };
	size_t len;
	ssize_t n;
	char *to;

	do {
		to = strbuf_room(&all, 4096);
		n = read(fd, to, all.cap - all.len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(e, errno, "read '%s': %s", name, strerror(errno));
		strbuf_end(&all, to + n);
		if (all.len > FILE_READ_MAX)
			return fail(e, EFBIG, "read '%s': more than %d MiB", name,
				    FILE_READ_MAX >> 20);
	} while (n);
	len = all.len;
	*ret_bytes = strbuf_take(&all);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read_at(int dir_fd, const char *path, char **ret_bytes, size_t *ret_len, struct err *e)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return fail(e, errno, "open '%s': %s", path, strerror(errno));
	return file_read_fd(fd, path, ret_bytes, ret_len, e);
}

int file_read(const char *path, char **ret_bytes, size_t *ret_len, struct err *e)
{
	return file_read_at(AT_FDCWD, path, ret_bytes, ret_len, e);
}

int file_line(const char *path, char *line, size_t size, struct err *e)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return fail(e, errno, "open '%s': %s", path, strerror(errno));
	do {
		n = read(fd, line + len, size - 1 - len);
		if (n < 0 && errno != EINTR)
			return fail(e, errno, "read '%s': %s", path, strerror(errno));
		len += n > 0 ? (size_t)n : 0;
	} while (n && len < size - 1 && !memchr(line, '\n', len));
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

int file_u64(const char *path, uint64_t *ret_value, struct err *e)
{
	char line[64];

	if (file_line(path, line, sizeof(line), e) < 0)
		return -e->code;
	return number_parse(line, ret_value, e) < 0 ? wrap(e, "'%s'", path) : 0;
}

int file_s64(const char *path, int64_t *ret_value, struct err *e)
{
	char line[64];

	if (file_line(path, line, sizeof(line), e) < 0)
		return -e->code;
	return signed_parse(line, ret_value, e) < 0 ? wrap(e, "'%s'", path) : 0;
}

bool file_exists(const char *path)
{
	return faccessat(AT_FDCWD, path, F_OK, 0) == 0;
}

int fd_write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Fills the new file and makes sure that it is on the disk before it takes the old one's place. */
static int temporary_fill(int fd, const char *path, const void *bytes, size_t len, mode_t mode,
			  struct err *e)
{
	int ret = fd_write_all(fd, bytes, len);

	if (ret < 0)
		return fail(e, -ret, "write '%s': %s", path, strerror(-ret));
	if (fchmod(fd, mode) < 0)
		return fail(e, errno, "chmod '%s': %s", path, strerror(errno));
	if (fsync(fd) < 0)
		return fail(e, errno, "sync '%s': %s", path, strerror(errno));
	return 0;
}

int file_write(const char *path, const void *bytes, size_t len, mode_t mode, struct err *e)
{
	auto_free char *temporary = xasprintf("%s.XXXXXX", path);
	auto_close int fd = mkstemp(temporary);
	int ret;

	if (fd < 0)
		return fail(e, errno, "create '%s': %s", path, strerror(errno));
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	ret = temporary_fill(fd, path, bytes, len, mode, e);
	if (!ret && rename(temporary, path) < 0)
		ret = fail(e, errno, "rename to '%s': %s", path, strerror(errno));
	if (ret < 0)
		unlink(temporary);
	return ret;
}

int path_join(char out[static PATH_MAX], const char *dir, const char *name, struct err *e)
{
	const char *slash = !*dir || str_endswith(dir, "/") ? "" : "/";
	bool fits = *name == '/' ? str_copy(out, PATH_MAX, name)
				 : str_format(out, PATH_MAX, "%s%s%s", dir, slash, name);

	return fits ? 0 : fail(e, ENAMETOOLONG, "'%s' in '%s': the path is too long", name, dir);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int entries_each(DIR *dir, const char *path, dir_fn *fn, void *ctx, struct err *e)
{
	struct dirent *it;
	int ret = 0;

	for (errno = 0; !ret && (it = readdir(dir)); errno = 0)
		if (strcmp(it->d_name, ".") && strcmp(it->d_name, ".."))
			ret = fn(dirfd(dir), it->d_name, it->d_type, ctx, e);
	if (!ret && errno)
		return fail(e, errno, "read '%s': %s", path, strerror(errno));
	return ret;
}

int dir_each(const char *path, dir_fn *fn, void *ctx, struct err *e)
{
	DIR *dir = opendir(path);
	int ret;

	if (!dir)
		return fail(e, errno, "open '%s': %s", path, strerror(errno));
	ret = entries_each(dir, path, fn, ctx, e);
	closedir(dir);
	return ret;
}

int proc_self_exe(char out[static PATH_MAX], struct err *e)
{
	ssize_t len = readlink("/proc/self/exe", out, PATH_MAX - 1);

	if (len < 0)
		return fail(e, errno, "readlink '/proc/self/exe': %s", strerror(errno));
	out[len] = '\0';
	return 0;
}
