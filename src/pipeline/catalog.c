/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding and opening probes. */
#include "pipeline/catalog.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/object.h"
#include "pipeline/embedded.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define USER_PROBES   "/etc/sonda/probes"
#define OBJECT_SUFFIX ".bpf.o"

void probe_free(struct probe *p)
{
	if (!p)
		return;
	declaration_free(p->decl);
	object_free(p->object);
	free(p->origin);
	free(p);
}

int probe_lacks(const struct probe *p, const char *what, struct err *e)
{
	const char *name = p->origin ?: p->name; /* what finds it again */

	fail_as(e, EXIT_USAGE, EINVAL, "%s has no %s", p->name, what);
	if (p->decl->event_count)
		return hint(e, "sonda trace %s shows its events", name);
	if (p->decl->row_count)
		return hint(e, "sonda show %s shows its snapshots", name);
	if (p->decl->table_count)
		return hint(e, "sonda top %s shows its tables", name);
	return hint(
		e,
		"it declares nothing that could be shown%s; sonda check %s loads it, sonda cost %s runs it",
		object_probe_var(p->object)
			? ""
			: ", and what undeclared maps and rings hold is not read",
		name, name);
}

static int entry_compare(const void *a, const void *b)
{
	return strcmp(((const struct catalog_entry *)a)->name,
		      ((const struct catalog_entry *)b)->name);
}

/* A user's object is called what it declares; one that can't be read, as its file. */
static int user_entry(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct catalog *c = ctx;
	struct catalog_entry *entry;
	auto_ptr(probe) p = NULL;

	(void)dir_fd, (void)type;
	if (!str_endswith(name, OBJECT_SUFFIX))
		return 0;
	entry = vec_add(&c->entries);
	entry->name = xstrndup(name, strlen(name) - strlen(OBJECT_SUFFIX));
	entry->path = xasprintf("%s/%s", getenv("SONDA_PROBES") ?: USER_PROBES, name);
	if (catalog_open(entry, &p, e) < 0) {
		err_clear(e);
		return 0;
	}
	free(entry->name);
	entry->name = xstrdup(p->name);
	return 0;
}

void catalog_read(struct catalog *c)
{
	struct err ignored;

	for (uint64_t i = 0; i < embedded_probe_count; i++) {
		struct catalog_entry *entry = vec_add(&c->entries);

		entry->name = xstrdup(embedded_probes[i].name);
		entry->embedded = &embedded_probes[i];
	}
	/* no such directory is the usual case */
	if (dir_each(getenv("SONDA_PROBES") ?: USER_PROBES, user_entry, c, &ignored) < 0)
		err_clear(&ignored);
	vec_sort(&c->entries, entry_compare);
}

void catalog_done(struct catalog *c)
{
	vec_for_each(entry, &c->entries) {
		free(entry->name);
		free(entry->path);
	}
	vec_done(&c->entries);
}

static int embedded_open(const struct embedded_probe *embedded, struct object **ret, struct err *e)
{
	void *bytes;
	int err = embedded_unpack(embedded, &bytes, e);

	return err ? err
		   : object_open_taking(embedded->name, bytes, embedded->unpacked_size, ret, e);
}

static int probe_open(const char *name, const char *path, const struct embedded_probe *embedded,
		      struct probe **ret, struct err *e)
{
	auto_ptr(probe) p = xnew(struct probe);
	int err = path ? object_open_file(path, &p->object, e)
		       : embedded_open(embedded, &p->object, e);

	if (err)
		return err;
	err = declaration_read(p->object, name, &p->decl, e);
	if (err)
		return wrap(e, "probe '%s'", path ?: name);
	p->name = p->decl->name;
	p->origin = path ? xstrdup(path) : NULL;
	*ret = TAKE_PTR(p);
	return 0;
}

int catalog_open(const struct catalog_entry *entry, struct probe **ret, struct err *e)
{
	assert(entry && ret && e);
	return probe_open(entry->name, entry->path, entry->embedded, ret, e);
}

static int file_find(const char *path, struct probe **ret, struct err *e)
{
	auto_free char *stem = xstrdup(path_base(path));
	char *dot = strchr(stem, '.');

	/* "fs.open.bpf.o" -> "fs.open", "mine.o" -> "mine" */
	if (str_endswith(stem, OBJECT_SUFFIX))
		stem[strlen(stem) - strlen(OBJECT_SUFFIX)] = '\0';
	else if (dot && dot != stem)
		*dot = '\0';
	return probe_open(stem, path, NULL, ret, e);
}

static bool last_part_is(const char *name, const char *word)
{
	const char *dot = strrchr(name, '.');

	return dot && str_eq(dot + 1, word);
}

static const char *entry_name(const void *ctx, size_t i)
{
	const struct catalog *c = ctx;

	return i < c->entries.len ? c->entries.at[i].name : NULL;
}

/* "fs" is no probe but stands before a dot: appends what is behind it, or nothing. */
static void group_append(const struct catalog *c, const char *word, struct strbuf *names)
{
	size_t len = strlen(word);

	vec_for_each(entry, &c->entries)
		if (str_startswith(entry->name, word) && entry->name[len] == '.')
			strbuf_appendf(names, "%s%s", names->len ? ", " : "", entry->name);
}

static int not_found(const struct catalog *c, const char *word, struct err *e)
{
	const char *near = suggest_from(word, entry_name, c);
	auto_done(strbuf) group = { 0 };

	group_append(c, word, &group);
	if (group.len)
		return fail_as(e, EXIT_USAGE, ENOENT, "'%s' is a group of probes: %s", word,
			       strbuf_str(&group));
	fail_as(e, EXIT_USAGE, ENOENT, "unknown probe '%s'%s%s%s", word,
		near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
	return hint(e, "`sonda list` shows all probes; a file needs a '/' in its path");
}

static bool is_named(const struct catalog_entry *entry, const char *word, bool whole)
{
	return whole ? str_eq(entry->name, word) : last_part_is(entry->name, word);
}

/* How many are called so; the last of them, and all in words. */
static size_t matches(const struct catalog *c, const char *word, bool whole,
		      const struct catalog_entry **ret_last, struct strbuf *names)
{
	size_t count = 0;

	vec_for_each(entry, &c->entries) {
		if (!is_named(entry, word, whole))
			continue;
		strbuf_appendf(names, "%s%s", count++ ? ", " : "", entry->name);
		if (entry->path)
			strbuf_appendf(names, " (%s)", entry->path);
		*ret_last = entry;
	}
	return count;
}

int catalog_find(const struct catalog *c, const char *word, struct probe **ret, struct err *e)
{
	const struct catalog_entry *found = NULL;
	auto_done(strbuf) names = { 0 };
	size_t count;

	assert(c && word && ret && e);
	if (strchr(word, '/') || str_endswith(word, ".o"))
		return file_find(word, ret, e);
	count = matches(c, word, true, &found, &names) ?: matches(c, word, false, &found, &names);
	if (count > 1) {
		fail_as(e, EXIT_USAGE, EINVAL, "'%s' may be %s", word, strbuf_str(&names));
		return hint(e, "a file can be named by its path");
	}
	return count ? catalog_open(found, ret, e) : not_found(c, word, e);
}
