/* SPDX-License-Identifier: BSD-2-Clause */
/* Users: lines of the shape "name:password:number:...". */
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

struct accounts {
	char *path;
	struct timespec changed; /* mtime of what was read */
	ino_t inode;
	struct arena memory; /* of the accounts */
	struct map by_id, by_name;
	uint64_t look_ns; /* when the file is looked at again */
};

/* "name:x:1000:..." without its newline. Lines of another shape (comments, NIS) are passed
 * over; the first of several with the same name or number counts. */
static void line_read(struct accounts *a, const char *line)
{
	size_t len = strcspn(line, ":");
	const char *number = line[len] ? strchr(line + len + 1, ':') : NULL;
	struct account *it;
	uint64_t id = 0;
	const char *at;

	if (!len || !number)
		return;
	for (at = number + 1; *at >= '0' && *at <= '9' && id <= UINT32_MAX; at++)
		id = id * 10 + (unsigned)(*at - '0');
	if (at == number + 1 || id > UINT32_MAX || (*at && *at != ':'))
		return;
	it = arena_new(&a->memory, struct account);
	it->name = arena_memdup(&a->memory, line, len);
	it->id = (uint32_t)id;
	if (!map_has(&a->by_id, it->id))
		map_put(&a->by_id, it->id, it);
	if (!map_has_bytes(&a->by_name, it->name, len))
		map_put_bytes(&a->by_name, it->name, len, it);
}

static void accounts_clear(struct accounts *a)
{
	map_clear(&a->by_id, NULL);
	map_clear(&a->by_name, NULL);
	arena_reset(&a->memory);
}

static void accounts_read(struct accounts *a)
{
	auto_free char *text = NULL;
	struct err ignored; /* unreadable counts as empty */
	char *next;

	accounts_clear(a);
	if (file_read(a->path, &text, NULL, &ignored) < 0)
		return;
	for (char *line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line_read(a, line);
	}
}

struct accounts *accounts_new(const char *path)
{
	struct accounts *a = xnew(struct accounts);

	a->path = xstrdup(path);
	a->by_name.borrows_keys = true;
	accounts_refresh(a);
	return a;
}

void accounts_free(struct accounts *a)
{
	if (!a)
		return;
	map_done(&a->by_id, NULL);
	map_done(&a->by_name, NULL);
	arena_done(&a->memory);
	free(a->path);
	free(a);
}

void accounts_refresh(struct accounts *a)
{
	struct stat st = { 0 };

	a->look_ns = clock_mono_ns() + LOOK_NS;
	if (stat(a->path, &st) < 0)
		st = (struct stat){ 0 };
	if (st.st_ino == a->inode && st.st_mtim.tv_sec == a->changed.tv_sec &&
	    st.st_mtim.tv_nsec == a->changed.tv_nsec)
		return;
	a->inode = st.st_ino;
	a->changed = st.st_mtim;
	accounts_read(a);
}

static void look(struct accounts *a)
{
	if (clock_mono_ns() >= a->look_ns)
		accounts_refresh(a);
}

const char *user_name(struct accounts *a, uint32_t uid)
{
	const struct account *it;

	look(a);
	it = map_get(&a->by_id, uid);
	return it ? it->name : NULL;
}

bool user_id(struct accounts *a, const char *name, uint32_t *ret_uid)
{
	const struct account *it;
	struct err ignored;
	uint64_t number;

	look(a);
	it = map_get_str(&a->by_name, name);
	if (!it && (number_parse(name, &number, &ignored) < 0 || number > UINT32_MAX))
		return false;
	*ret_uid = it ? it->id : (uint32_t)number;
	return true;
}

void user_names(struct accounts *a, struct strlist *names)
{
	look(a);
	map_for_each(slot, &a->by_id) {
		const struct account *it = slot->value;

		strlist_add(names, it->name);
	}
}
