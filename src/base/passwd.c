/* SPDX-License-Identifier: BSD-2-Clause */
/* Users and groups: two files of the same shape, "name:password:number:...". */
#include "base/passwd.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/units.h"

#include <assert.h>
#include <sys/stat.h>

enum { LOOK_NS = 1000 * 1000 * 1000 };

/* One line. */
struct account {
	const char *name;
	uint32_t id;
};

struct names_file {
	char *path;
	struct timespec changed; /* mtime of what was read */
	ino_t inode;
	struct arena memory; /* of the accounts */
	struct map by_id, by_name;
};

struct accounts {
	struct names_file users, groups;
	uint64_t look_ns; /* when the files are looked at again */
};

/* "name:x:1000:..." without its newline. Lines of another shape (comments, NIS) are passed
 * over; the first of several with the same name or number counts. */
static void line_read(struct names_file *f, const char *line)
{
	size_t len = strcspn(line, ":");
	const char *number = line[len] ? strchr(line + len + 1, ':') : NULL;
	struct account *a;
	uint64_t id = 0;
	const char *at;

	if (!len || !number)
		return;
	for (at = number + 1; *at >= '0' && *at <= '9' && id <= UINT32_MAX; at++)
		id = id * 10 + (unsigned)(*at - '0');
	if (at == number + 1 || id > UINT32_MAX || (*at && *at != ':'))
		return;
	a = arena_new(&f->memory, struct account);
	a->name = arena_memdup(&f->memory, line, len);
	a->id = (uint32_t)id;
	if (!map_has(&f->by_id, a->id))
		map_put(&f->by_id, a->id, a);
	if (!map_has_bytes(&f->by_name, a->name, len))
		map_put_bytes(&f->by_name, a->name, len, a);
}

static void names_clear(struct names_file *f)
{
	map_clear(&f->by_id, NULL);
	map_clear(&f->by_name, NULL);
	arena_reset(&f->memory);
}

static void names_read(struct names_file *f)
{
	auto_free char *text = NULL;
	struct err ignored; /* unreadable counts as empty */
	char *next;

	names_clear(f);
	if (file_read(f->path, &text, NULL, &ignored) < 0)
		return;
	for (char *line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line_read(f, line);
	}
}

static void names_refresh(struct names_file *f)
{
	struct stat st = { 0 };

	if (stat(f->path, &st) < 0)
		st = (struct stat){ 0 };
	if (st.st_ino == f->inode && st.st_mtim.tv_sec == f->changed.tv_sec &&
	    st.st_mtim.tv_nsec == f->changed.tv_nsec)
		return;
	f->inode = st.st_ino;
	f->changed = st.st_mtim;
	names_read(f);
}

static void names_init(struct names_file *f, const char *path)
{
	f->path = xstrdup(path);
	f->by_name.borrows_keys = true;
}

static void names_done(struct names_file *f)
{
	map_done(&f->by_id, NULL);
	map_done(&f->by_name, NULL);
	arena_done(&f->memory);
	free(f->path);
}

struct accounts *accounts_new(const char *passwd_path, const char *group_path)
{
	struct accounts *a = xnew(struct accounts);

	names_init(&a->users, passwd_path ? passwd_path : "/etc/passwd");
	names_init(&a->groups, group_path ? group_path : "/etc/group");
	accounts_refresh(a);
	return a;
}

void accounts_free(struct accounts *a)
{
	if (!a)
		return;
	names_done(&a->users);
	names_done(&a->groups);
	free(a);
}

void accounts_refresh(struct accounts *a)
{
	assert(a);
	names_refresh(&a->users);
	names_refresh(&a->groups);
	a->look_ns = clock_mono_ns() + LOOK_NS;
}

static void look(struct accounts *a)
{
	if (clock_mono_ns() >= a->look_ns)
		accounts_refresh(a);
}

static const char *name_of(const struct names_file *f, uint32_t id)
{
	const struct account *it = map_get(&f->by_id, id);

	return it ? it->name : NULL;
}

static bool id_of(const struct names_file *f, const char *name, uint32_t *ret_id)
{
	const struct account *it = map_get_str(&f->by_name, name);
	struct err ignored;
	uint64_t number;

	if (it) {
		*ret_id = it->id;
		return true;
	}
	if (number_parse(name, &number, &ignored) < 0 || number > UINT32_MAX)
		return false;
	*ret_id = (uint32_t)number;
	return true;
}

const char *user_name(struct accounts *a, uint32_t uid)
{
	look(a);
	return name_of(&a->users, uid);
}

const char *group_name(struct accounts *a, uint32_t gid)
{
	look(a);
	return name_of(&a->groups, gid);
}

bool user_id(struct accounts *a, const char *name, uint32_t *ret_uid)
{
	look(a);
	return id_of(&a->users, name, ret_uid);
}

bool group_id(struct accounts *a, const char *name, uint32_t *ret_gid)
{
	look(a);
	return id_of(&a->groups, name, ret_gid);
}
