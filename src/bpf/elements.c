/* SPDX-License-Identifier: BSD-2-Clause */
/* Elements of maps by their bytes. */
#include "bpf/elements.h"

#include "base/err.h"
#include "base/mem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>

static int failed(const char *what, int code, struct err *e)
{
	return fail_as(e, code == EPERM ? EXIT_DENIED : EXIT_FAILED, code, "%s: %s", what,
		       strerror(code));
}

int map_make(const struct map_shape *shape, int *ret_fd, struct err *e)
{
	static const enum bpf_map_type types[] = { [MAP_ARRAY] = BPF_MAP_TYPE_ARRAY,
						   [MAP_PERCPU_ARRAY] = BPF_MAP_TYPE_PERCPU_ARRAY,
						   [MAP_HASH] = BPF_MAP_TYPE_HASH };
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		    .map_flags = (shape->mappable ? BPF_F_MMAPABLE : 0) |
				 (shape->on_demand ? BPF_F_NO_PREALLOC : 0));
	int fd = bpf_map_create(types[shape->type], shape->name, shape->key_size, shape->value_size,
				shape->max_entries, &opts);

	if (fd < 0)
		return failed(shape->name, errno, e);
	*ret_fd = fd;
	return 0;
}

bool map_has_shape(int fd, const struct map_shape *shape)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_map_get_info_by_fd(fd, &info, &len) && info.key_size == shape->key_size &&
	       info.value_size == shape->value_size && info.max_entries == shape->max_entries;
}

int map_set(int fd, const char *what, const void *key, const void *value, struct err *e)
{
	return bpf_map_update_elem(fd, key, value, BPF_ANY) ? failed(what, errno, e) : 0;
}

bool map_get_value(int fd, const void *key, void *ret_value)
{
	return !bpf_map_lookup_elem(fd, key, ret_value);
}

void map_unset(int fd, const void *key)
{
	(void)!bpf_map_delete_elem(fd, key);
}

bool map_next_key(int fd, const void *key, void *ret_next)
{
	return !bpf_map_get_next_key(fd, key, ret_next);
}

bool map_sum(int fd, const void *key, uint64_t *ret_sum, size_t count)
{
	int cpus = libbpf_num_possible_cpus();
	auto_free uint64_t *each = xcalloc((size_t)max(cpus, 1) * count, sizeof(*each));

	if (bpf_map_lookup_elem(fd, key, each))
		return false;
	memset(ret_sum, 0, count * sizeof(*ret_sum));
	for (size_t i = 0; i < (size_t)cpus * count; i++)
		ret_sum[i % count] += each[i];
	return true;
}

int map_zero_percpu(int fd, const char *what, const void *key, size_t value_size, struct err *e)
{
	auto_free void *zero = xcalloc((size_t)max(libbpf_num_possible_cpus(), 1), value_size);

	return map_set(fd, what, key, zero, e);
}

int map_word(int fd, uint64_t **ret_word, struct err *e)
{
	void *at = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			0);

	if (at == MAP_FAILED)
		return failed("map a policy's state", errno, e);
	*ret_word = at;
	return 0;
}

void map_word_done(uint64_t *word)
{
	if (word)
		munmap(word, (size_t)sysconf(_SC_PAGESIZE));
}
