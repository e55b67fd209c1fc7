/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths of PARAM_FILE: to inode, device and name. */
#include "pipeline/param_file.h"

#include "abi/param.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder with the file "a" and the link "to-a" to it. */
static char *folder_new(void)
{
	char *folder = realpath("/tmp", NULL), *made = xasprintf("%s/param-file-XXXXXX", folder);
	auto_free char *file = NULL, *link = NULL;

	free(folder);
	if (!mkdtemp(made))
		TEST_FAULT("mkdtemp %s", made);
	file = xasprintf("%s/a", made);
	link = xasprintf("%s/to-a", made);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	CHECK(symlink("a", link) == 0);
	return made;
}

static void folder_free(char *folder)
{
	static const char *const names[] = { "a", "to-a" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = xasprintf("%s/%s", folder, names[i]);

		unlink(path);
	}
	rmdir(folder);
	free(folder);
}

TEST(a_file_by_its_path_and_by_a_link)
{
	static const char *const names[] = { "a", "to-a" };
	char *folder = folder_new();
	struct stat st, dir;
	struct err e;

	REQUIRE(stat(folder, &dir) == 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		auto_free char *path = xasprintf("%s/%s", folder, names[i]);
		auto_free char *real = xasprintf("%s/a", folder);
		struct param_file f;

		REQUIRE(stat(path, &st) == 0);
		REQUIRE(param_file_resolve(path, &f, &e) == 0);
		CHECK_U64(f.inode, st.st_ino);
		CHECK_U64(f.dir_inode, dir.st_ino);
		CHECK_U64(f.device, f.dir_device);
		CHECK(f.device != 0 && !f.is_dir);
		CHECK_STR(f.name, "a");
		CHECK_U64(f.name_len, 1);
		CHECK_STR(f.path, real);
		CHECK_STR(f.given, path);
		CHECK_U64(f.given_len, strlen(path));
	}
	folder_free(folder);
}

TEST(a_directory_and_the_root)
{
	char *folder = folder_new();
	struct param_file f;
	struct err e;

	REQUIRE(param_file_resolve(folder, &f, &e) == 0);
	CHECK(f.is_dir && f.inode);
	REQUIRE(param_file_resolve("/", &f, &e) == 0);
	CHECK(f.is_dir && f.inode);
	CHECK_STR(f.path, "/");
	folder_free(folder);
}

TEST(what_is_not_there_yet_is_known_by_its_name)
{
	char *folder = folder_new();
	auto_free char *path = xasprintf("%s/none", folder);
	struct param_file f;
	struct err e;

	REQUIRE(param_file_resolve(path, &f, &e) == 0);
	CHECK_U64(f.inode, 0);
	CHECK(f.dir_inode != 0);
	CHECK_STR(f.name, "none");
	CHECK_STR(f.path, path);
	folder_free(folder);
}

TEST(what_can_not_be_resolved)
{
	char long_path[PARAM_FILE_PATH * 2];
	struct param_file f;
	struct err e;

	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	CHECK_INT(param_file_resolve("/none/at/all", &f, &e), -ENOENT);
	CHECK_INT(param_file_resolve("", &f, &e), -EINVAL);
	CHECK_INT(param_file_resolve("/etc/..none/", &f, &e), -ENOENT);
	CHECK_INT(param_file_resolve(long_path, &f, &e), -ENAMETOOLONG);
}
