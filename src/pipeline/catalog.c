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
	free(p);
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
	p->origin = path;
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

static int not_found(const struct catalog *c, const char *word, struct err *e)
{
	const char *near = suggest_from(word, entry_name, c);

	fail_as(e, EXIT_USAGE, ENOENT, "unknown probe '%s'%s%s%s", word,
		near ? " (did you mean '" : "", near ?: "", near ? "'?)" : "");
	return hint(e, "`sonda list` shows all probes; a file needs a '/' in its path");
}

int catalog_find(const struct catalog *c, const char *word, struct probe **ret, struct err *e)
{
	const struct catalog_entry *found = NULL;
	struct strbuf both = { 0 };
	size_t matches = 0;

	assert(c && word && ret && e);
	if (strchr(word, '/') || str_endswith(word, ".o"))
		return file_find(word, ret, e);
	vec_for_each(entry, &c->entries) {
		if (str_eq(entry->name, word))
			return catalog_open(entry, ret, e);
		if (!last_part_is(entry->name, word))
			continue;
		strbuf_appendf(&both, "%s%s", matches++ ? ", " : "", entry->name);
		found = entry;
	}
	if (matches > 1)
		fail_as(e, EXIT_USAGE, EINVAL, "'%s' may be %s", word, strbuf_str(&both));
	strbuf_done(&both);
	if (matches > 1)
		return -EINVAL;
	return found ? catalog_open(found, ret, e) : not_found(c, word, e);
}
