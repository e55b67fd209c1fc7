/* SPDX-License-Identifier: BSD-2-Clause */
/* Cgroups by id. A kernfs file handle is the id itself, so no directory has to be searched. */
#include "enrich/cgroups.h"

#include "base/lru.h"
#include "base/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>

#define CACHE            4096
#define FILEID_KERNFS    0xfe
#define CONTAINER_DIGITS 12 /* as container tools show it */

struct cgroups {
	int root_fd; /* of the mounted hierarchy; -1: none */
	char root[PATH_MAX];
	struct lru *names;
};

static void names_free(void *value)
{
	struct cgroup_names *n = value;

	free(n->path);
	free(n->unit);
	free(n->container);
	free(n);
}

static int root_open(char root[static PATH_MAX])
{
	auto_fclose FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	while (mounts && (m = getmntent(mounts)))
		if (str_eq(m->mnt_type, "cgroup2")) {
			str_copy(root, PATH_MAX, m->mnt_dir);
			return open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
	return -1;
}

struct cgroups *cgroups_new(void)
{
	struct cgroups *c = xnew(struct cgroups);

	c->root_fd = root_open(c->root);
	c->names = lru_new(CACHE, names_free);
	return c;
}

void cgroups_free(struct cgroups *c)
{
	if (!c)
		return;
	fd_close(&c->root_fd);
	lru_free(c->names);
	free(c);
}

static bool path_by_id(const struct cgroups *c, uint64_t id, char path[static PATH_MAX])
{
	union {
		struct file_handle handle;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} h = { .handle = { .handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS } };
	auto_close int fd = -1;
	char link[64];
	ssize_t len;

	memcpy(h.bytes + offsetof(struct file_handle, f_handle), &id, sizeof(id));
	fd = open_by_handle_at(c->root_fd, &h.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	str_format(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len <= 0)
		return false;
	path[len] = '\0';
	return str_startswith(path, c->root);
}

static const char *const unit_suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

static bool is_unit(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(unit_suffixes); i++)
		if (str_endswith(name, unit_suffixes[i]))
			return true;
	return false;
}

/* A run of 64 hex digits: docker-<id>.scope, cri-containerd-<id>.scope, libpod-<id>, plain <id>. */
static const char *container_digits(const char *name)
{
	for (const char *p = name; *p; p++) {
		size_t n = 0;

		while (isxdigit((unsigned char)p[n]))
			n++;
		if (n == 64)
			return p;
		p += n ? n - 1 : 0;
	}
	return NULL;
}

static const char *const container_prefixes[] = { "lxc.payload.", "machine-" };

static char *container_of_component(const char *name)
{
	const char *digits = container_digits(name);

	if (digits)
		return xstrndup(digits, CONTAINER_DIGITS);
	for (size_t i = 0; i < ARRAY_LEN(container_prefixes); i++) {
		const char *rest = str_after(name, container_prefixes[i]);

		if (rest)
			return xstrndup(rest, strcspn(rest, "."));
	}
	return NULL;
}

void cgroup_names_of(const char *path, struct cgroup_names *ret_names)
{
	struct cgroup_names n = { .path = xstrdup(path) };
	auto_free char *copy = xstrdup(path);
	char *save = NULL;

	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		char *container = container_of_component(part);

		if (is_unit(part)) {
			free(n.unit);
			n.unit = xstrdup(part);
		}
		if (container) {
			free(n.container);
			n.container = container;
		}
	}
	*ret_names = n;
}

const struct cgroup_names *cgroups_get(struct cgroups *c, uint64_t id)
{
	struct cgroup_names *n = lru_get(c->names, id);
	char path[PATH_MAX];

	if (n || c->root_fd < 0)
		return n;
	n = xnew(struct cgroup_names);
	if (path_by_id(c, id, path))
		cgroup_names_of(path[strlen(c->root)] ? path + strlen(c->root) : "/", n);
	lru_put(c->names, id, n);
	return n;
}
