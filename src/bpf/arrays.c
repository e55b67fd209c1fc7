/* SPDX-License-Identifier: BSD-2-Clause */
/* mmap(2) of arrays; arrays that are put into others. */
#include "bpf/arrays.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/mem.h"
#include "bpf/object.h"

static int map_of(const struct object *o, const char *map, int *ret_fd, struct err *e)
{
	*ret_fd = object_map_fd(o, map);
	return *ret_fd < 0 ? fail(e, ENOENT, "'%s' has no map '%s'", object_name(o), map) : 0;
}

static int fd_view(int fd, const char *map, struct array_view *ret_view, struct err *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	struct array_view view;

	if (bpf_map_get_info_by_fd(fd, &info, &len))
		return fail(e, errno, "map '%s': %s", map, strerror(errno));
	view.bytes = (size_t)((info.value_size + 7) & ~7u) * info.max_entries;
	view.bytes = (view.bytes + page - 1) & ~(page - 1);
	view.at = mmap(NULL, view.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (view.at == MAP_FAILED)
		return fail(e, errno, "map '%s': mmap: %s", map, strerror(errno));
	*ret_view = view;
	return 0;
}

int array_view(const struct object *o, const char *map, struct array_view *ret_view, struct err *e)
{
	int fd;

	return map_of(o, map, &fd, e) < 0 ? -e->code : fd_view(fd, map, ret_view, e);
}

void array_view_done(struct array_view *view)
{
	if (view->at)
		munmap(view->at, view->bytes);
	*view = (struct array_view){ 0 };
}

int array_put(const struct object *o, const char *map, uint32_t at, const void *from, size_t bytes,
	      size_t size, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	struct array_view view = { 0 };
	auto_close int inner = -1;
	int outer;

	if (map_of(o, map, &outer, e) < 0)
		return -e->code;
	if (!bytes)
		return bpf_map_delete_elem(outer, &at) && errno != ENOENT
			       ? fail(e, errno, "map '%s': %s", map, strerror(errno))
			       : 0;
	inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sonda_list", sizeof(uint32_t), (__u32)size,
			       (__u32)((bytes + size - 1) / size), &opts);
	if (inner < 0)
		return fail(e, errno, "map '%s': %zu bytes: %s", map, bytes, strerror(errno));
	if (fd_view(inner, map, &view, e) < 0)
		return -e->code;
	memcpy(view.at, from, bytes);
	array_view_done(&view);
	if (bpf_map_update_elem(outer, &at, &inner, BPF_ANY))
		return fail(e, errno, "map '%s': %s", map, strerror(errno));
	return 0;
}

int array_read(const struct object *o, const char *map, uint32_t at, void *value, struct err *e)
{
	int fd;

	if (map_of(o, map, &fd, e) < 0)
		return -e->code;
	if (bpf_map_lookup_elem(fd, &at, value))
		return fail(e, errno, "map '%s': %s", map, strerror(errno));
	return 0;
}

int array_sum(const struct object *o, const char *map, uint32_t at, uint64_t *ret_sum,
	      struct err *e)
{
	size_t cpus = (size_t)max(libbpf_num_possible_cpus(), 1);
	auto_free uint64_t *each = xcalloc(cpus, sizeof(*each));
	uint64_t sum = 0;

	if (array_read(o, map, at, each, e) < 0)
		return -e->code;
	for (size_t i = 0; i < cpus; i++)
		sum += each[i];
	*ret_sum = sum;
	return 0;
}
