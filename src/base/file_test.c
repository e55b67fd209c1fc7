/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files, in a directory of this test's own. */
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[PATH_MAX];
	struct err e;

	if (!dir[0]) {
		str_copy(dir, sizeof(dir), "/tmp/file_test.XXXXXX");
		CHECK(mkdtemp(dir) != NULL);
	}
	CHECK_INT(path_join(path, dir, name, &e), 0);
	return path;
}

TEST(write_then_read)
{
	const char *path = in_dir("a");
	auto_free char *text = NULL;
	struct stat st;
	struct err e;
	size_t len;

	CHECK_INT(file_write(path, "one\0two\n", 8, 0640, &e), 0);
	CHECK_INT(file_read(path, &text, &len, &e), 0);
	CHECK_INT(len, 8);
	CHECK_MEM(text, "one\0two\n", 9);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0640);
	CHECK_INT(file_write(path, "", 0, 0600, &e), 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_size, 0);
}

TEST(a_failed_write_leaves_the_old_and_no_litter)
{
	struct err e;

	CHECK_INT(file_write("/proc/self/sonda-test", "x", 1, 0600, &e), -ENOENT);
	CHECK_HAS(e.text, "create '/proc/self/sonda-test");
	mkdir(in_dir("d"), 0700);
	CHECK(file_write(in_dir("d"), "x", 1, 0600, &e) < 0); /* a directory is in the way */
	CHECK_INT(rmdir(in_dir("d")), 0);
}

static int count_entry(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	(void)e;
	CHECK(faccessat(dir_fd, name, F_OK, 0) == 0);
	CHECK_INT(type, DT_REG);
	++*(int *)ctx;
	return !strcmp(name, "stop") ? 5 : 0;
}

TEST(directories)
{
	struct err e;
	int count = 0;

	unlink(in_dir("a"));
	CHECK_INT(file_write(in_dir("x"), "1", 1, 0600, &e), 0);
	CHECK_INT(file_write(in_dir("y"), "2", 1, 0600, &e), 0);
	CHECK_INT(dir_each(dir, count_entry, &count, &e), 0);
	CHECK_INT(count, 2);
	unlink(in_dir("x"));
	CHECK_INT(rename(in_dir("y"), "/tmp/never/there"), -1);
	unlink(in_dir("y"));
	CHECK_INT(file_write(in_dir("stop"), "", 0, 0600, &e), 0);
	CHECK_INT(dir_each(dir, count_entry, &count, &e), 5);
	unlink(in_dir("stop"));
	CHECK_INT(dir_each(in_dir("none"), count_entry, &count, &e), -ENOENT);
	CHECK_INT(rmdir(dir), 0);
	dir[0] = '\0';
}

TEST(procfs_has_no_sizes)
{
	auto_free char *text = NULL;
	uint64_t max_map_count = 0;
	char line[8];
	struct err e;

	CHECK_INT(file_read("/proc/self/status", &text, NULL, &e), 0);
	CHECK_HAS(text, "Name:");
	CHECK_INT(file_u64("/proc/sys/vm/max_map_count", &max_map_count, &e), 0);
	CHECK(max_map_count > 0);
	CHECK_INT(file_line("/proc/self/status", line, sizeof(line), &e), 0);
	CHECK_STR(line, "Name:\tf");
	CHECK_INT(file_u64("/proc/self/status", &max_map_count, &e), -EINVAL);
	CHECK_HAS(e.text, "'/proc/self/status': 'Name:");
}

TEST(errors_name_the_file)
{
	char *text = NULL;
	int64_t value = 0;
	struct err e;

	CHECK_INT(file_read("/nonexistent/x", &text, NULL, &e), -ENOENT);
	CHECK_STR(e.text, "open '/nonexistent/x': No such file or directory");
	CHECK_INT(file_read("/", &text, NULL, &e), -EISDIR);
	CHECK(!text);
	CHECK_INT(file_s64("/nonexistent/x", &value, &e), -ENOENT);
	CHECK(!file_exists("/nonexistent"));
	CHECK(file_exists("/"));
}

TEST(endless_files_are_refused)
{
	char *text = NULL;
	struct err e;

	CHECK_INT(file_read("/dev/zero", &text, NULL, &e), -EFBIG);
	CHECK(!text);
}

TEST(paths)
{
	auto_free char *lengthy = xcalloc(1, PATH_MAX + 1);
	char out[PATH_MAX];
	struct err e;

	CHECK_INT(path_join(out, "/a", "b", &e), 0);
	CHECK_STR(out, "/a/b");
	CHECK_INT(path_join(out, "/a/", "b", &e), 0);
	CHECK_STR(out, "/a/b");
	CHECK_INT(path_join(out, "/a", "/b", &e), 0);
	CHECK_STR(out, "/b");
	CHECK_INT(path_join(out, "", "b", &e), 0);
	CHECK_STR(out, "b");
	memset(lengthy, 'x', PATH_MAX);
	CHECK_INT(path_join(out, "/a", lengthy, &e), -ENAMETOOLONG);
	CHECK_STR(path_base("/a/b.o"), "b.o");
	CHECK_STR(path_base("b.o"), "b.o");
	CHECK_INT(proc_self_exe(out, &e), 0);
	CHECK(file_exists(out));
}
