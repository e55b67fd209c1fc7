/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of mapped files. */
#include "symbols/files.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "symbols/elf_image.h"

#define DELETED " (deleted)"

struct files {
	struct map by_key;
	vec(struct mapped_file *) all;
	size_t bytes; /* of all images */
	unsigned open;
	uint64_t uses;
	struct strbuf key;
};

struct files *files_new(void)
{
	return xnew(struct files);
}

static void file_free(struct mapped_file *file)
{
	elf_image_free(file->image);
	fd_close(&file->fd);
	free(file->path);
	free(file);
}

void files_free(struct files *f)
{
	if (!f)
		return;
	vec_for_each(file, &f->all)
		file_free(*file);
	vec_done(&f->all);
	map_done(&f->by_key, NULL);
	strbuf_done(&f->key);
	free(f);
}

static enum file_what what_of(const char *path, size_t len, uint64_t inode)
{
	if (len == strlen("[vdso]") && !memcmp(path, "[vdso]", len))
		return FILE_VDSO;
	if (len && path[0] == '/' && inode)
		return FILE_ELF;
	/* "", "//anon", "[heap]", "[anon:...]", "anon_inode:..." */
	if (!len || path[0] == '/' || str_startswith(path, "[anon") ||
	    str_startswith(path, "[heap]") || str_startswith(path, "[stack]") ||
	    str_startswith(path, "anon_inode:"))
		return FILE_JIT;
	return FILE_OTHER;
}

/* Is it that file? Some file systems tell another device number to stat(2). */
static bool is_inode(int fd, uint64_t inode)
{
	struct stat s;

	return !fstat(fd, &s) && S_ISREG(s.st_mode) && s.st_ino == inode;
}

static int open_if_it(const char *path, uint64_t inode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd >= 0 && !is_inode(fd, inode))
		fd_close(&fd);
	return fd;
}

static bool leads_there(const char *path, uint64_t inode)
{
	struct stat s;

	return !stat(path, &s) && S_ISREG(s.st_mode) && s.st_ino == inode;
}

/* Where its path does not lead to it from here (containers, deleted files), it is held open. */
static void file_hold(struct files *f, struct mapped_file *file, uint32_t pid, uint64_t start,
		      uint64_t end)
{
	char path[PATH_MAX + 64];

	if (leads_there(file->path, file->inode))
		return;
	str_format(path, sizeof(path), "/proc/%u/root%s", pid, file->path);
	file->fd = open_if_it(path, file->inode);
	if (file->fd < 0) {
		str_format(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", pid,
			   (unsigned long long)start, (unsigned long long)end);
		file->fd = open_if_it(path, file->inode);
	}
	if (file->fd < 0)
		return;
	if (f->open >= FILES_OPEN_MAX)
		fd_close(&file->fd);
	else
		f->open++;
}

static struct mapped_file *file_new(const char *path, size_t len, uint64_t inode)
{
	struct mapped_file *file = xnew(struct mapped_file);

	file->what = what_of(path, len, inode);
	file->path = xstrndup(path, len);
	if (str_endswith(file->path, DELETED))
		file->path[len - strlen(DELETED)] = '\0';
	file->name = path_base(file->path);
	file->inode = inode;
	file->fd = -1;
	return file;
}

/* Makes room for a new one: those that no mapping speaks of go. The others are not found any more, but
 * serve those who have them. */
static void files_shrink(struct files *f)
{
	size_t kept = 0;

	map_clear(&f->by_key, NULL);
	for (size_t i = 0; i < f->all.len; i++) {
		struct mapped_file *file = f->all.at[i];

		if (file->users) {
			f->all.at[kept++] = file;
			continue;
		}
		f->bytes -= file->image ? elf_image_bytes(file->image) : 0;
		f->open -= file->fd >= 0;
		file_free(file);
	}
	f->all.len = kept;
}

struct mapped_file *files_get(struct files *f, const char *path, size_t path_len, uint32_t major,
			      uint32_t minor, uint64_t inode, uint32_t pid, uint64_t start,
			      uint64_t end)
{
	const uint64_t number[] = { (uint64_t)major << 32 | minor, inode };
	struct mapped_file *file;

	path_len = min(path_len, (size_t)PATH_MAX - 1);
	strbuf_reset(&f->key);
	strbuf_append(&f->key, (const char *)number, sizeof(number));
	strbuf_append(&f->key, path, path_len);
	file = map_get_bytes(&f->by_key, f->key.s, f->key.len);
	if (!file) {
		if (f->all.len >= FILES_MAX)
			files_shrink(f);
		file = file_new(path, path_len, inode);
		if (file->what == FILE_ELF)
			file_hold(f, file, pid, start, end);
		vec_push(&f->all, file);
		map_put_bytes(&f->by_key, f->key.s, f->key.len, file);
	}
	file->users++;
	return file;
}

void files_use(struct mapped_file *file)
{
	file->users++;
}

void files_drop(struct files *f, struct mapped_file *file)
{
	(void)f;
	assert(file->users);
	file->users--;
}

static struct elf_image *vdso_read(void)
{
	const ElfW(Ehdr) *head = (const void *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
	size_t len;

	if (!head)
		return NULL;
	len = (size_t)head->e_shoff + (size_t)head->e_shentsize * head->e_shnum;
	return len < 65536 ? elf_image_of(head, len) : NULL;
}

static struct elf_image *image_read(const struct mapped_file *file)
{
	auto_close int fd = -1;

	if (file->what == FILE_VDSO)
		return vdso_read();
	if (file->fd >= 0)
		return elf_image_read(file->fd);
	fd = open_if_it(file->path, file->inode);
	return fd >= 0 ? elf_image_read(fd) : NULL;
}

/* Gives back what was longest unused, until what there is takes no more than it may. */
static void images_shrink(struct files *f, const struct mapped_file *but)
{
	while (f->bytes > FILES_BYTES_MAX) {
		struct mapped_file *oldest = NULL;

		vec_for_each(file, &f->all)
			if ((*file)->image && *file != but &&
			    (!oldest || (*file)->used < oldest->used))
				oldest = *file;
		if (!oldest)
			return;
		f->bytes -= elf_image_bytes(oldest->image);
		elf_image_free(oldest->image);
		oldest->image = NULL;
	}
}

bool files_find(struct files *f, struct mapped_file *file, uint64_t offset, struct symbol *ret)
{
	if (file->unreadable || (file->what != FILE_ELF && file->what != FILE_VDSO))
		return false;
	file->used = ++f->uses;
	if (!file->image) {
		file->image = image_read(file);
		file->unreadable = !file->image;
		if (file->unreadable)
			return false;
		f->bytes += elf_image_bytes(file->image);
		images_shrink(f, file);
	}
	return elf_image_find(file->image, offset, ret);
}
