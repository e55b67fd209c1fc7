/* SPDX-License-Identifier: BSD-2-Clause */
/* A probe while it runs: descriptors, counters, rows of iterators, programs run by hand. */
#include "bpf/object.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/str.h"
#include "bpf/parts.h"

enum { ROWS_BUFFER_BYTES = 64 * 1024, ROW_MAX = 1024 * 1024 };

void object_detach(struct object *o)
{
	int ending = object_map_fd(o, "sonda_ending");

	links_done(&o->links);
	if (ending >= 0)
		(void)!bpf_map_update_elem(ending, &(uint32_t){ 0 }, &(uint32_t){ 1 }, BPF_ANY);
}

int object_map_fd(const struct object *o, const char *name)
{
	const struct map_part *m = map_part_find(o, name);
	/* a map that isn't made has a placeholder for a descriptor */
	int fd = m && m->handle && bpf_map__autocreate(m->handle) ? bpf_map__fd(m->handle) : -1;

	return fd < 0 ? -1 : fd;
}

uint32_t object_map_max_entries(const struct object *o, const char *name)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	const struct map_part *m = map_part_find(o, name);
	int fd = object_map_fd(o, name);

	if (fd < 0 && m)
		return m->max_entries ? m->max_entries : m->told.max_entries;
	return fd < 0 || bpf_map_get_info_by_fd(fd, &info, &len) ? 0 : info.max_entries;
}

static const struct program_part *used_program(const struct object *o, const char *name)
{
	const struct program_part *p = program_part_find(o, name);

	return p && p->told.state == PROGRAM_USED ? p : NULL;
}

int object_program_fd(const struct object *o, const char *name)
{
	const struct program_part *p = used_program(o, name);
	int fd = p ? bpf_program__fd(p->handle) : -1;

	return fd < 0 ? -1 : fd;
}

int object_stats(const struct object *o, struct stats *ret_stats, struct err *e)
{
	size_t cpus = (size_t)max(libbpf_num_possible_cpus(), 1);
	auto_free struct stats *each = xcalloc(cpus, sizeof(*each));
	int fd = object_map_fd(o, "sonda_stats");
	const uint64_t *from = (const uint64_t *)each;
	uint64_t sum[sizeof(*each) / sizeof(uint64_t)] = { 0 };
	uint32_t zero = 0;

	static_assert(sizeof(struct stats) % sizeof(uint64_t) == 0, "summed word by word");
	if (fd < 0)
		return fail(e, ENOENT, "'%s' keeps no counters", o->name);
	if (bpf_map_lookup_elem(fd, &zero, each))
		return fail(e, errno, "counters of '%s': %s", o->name, strerror(errno));
	for (size_t i = 0; i < cpus * ARRAY_LEN(sum); i++)
		sum[i % ARRAY_LEN(sum)] += from[i];
	memcpy(ret_stats, sum, sizeof(sum));
	return 0;
}

uint64_t object_missed(const struct object *o)
{
	uint64_t missed = links_missed(&o->links);

	vec_for_each(p, &o->programs) {
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (p->told.state == PROGRAM_USED &&
		    !bpf_prog_get_info_by_fd(bpf_program__fd(p->handle), &info, &len))
			missed += info.recursion_misses;
	}
	return missed;
}

static bool is_iterator(const struct program_part *p)
{
	return str_startswith(p->told.hook, "iter");
}

/* A run of its own, beside the link that attaching made: rows can be read any number of times. */
static int iterator_open(const struct object *o, const char *program, struct err *e)
{
	const struct program_part *p = used_program(o, program);
	auto_close int link = -1;
	int fd;

	if (!p || !is_iterator(p)) {
		fail(e, ENOENT, "'%s' has no iterator '%s' in use", o->name, program);
		return -1;
	}
	link = iterator_link(bpf_program__fd(p->handle), p->over ? object_map_fd(o, p->over) : -1);
	fd = link < 0 ? -1 : bpf_iter_create(link);
	if (fd < 0)
		fail(e, errno, "iterator '%s': %s", program, strerror(errno));
	return fd;
}

/* Hands out the whole records in `buffer`; returns what `fn` returned. */
static int rows_hand_out(const char *buffer, size_t len, record_fn *fn, void *ctx, size_t *ret_used)
{
	struct record record;
	size_t used = 0;
	int code = 0;

	while (!code && len - used >= sizeof(record)) {
		memcpy(&record, buffer + used, sizeof(record));
		if (len - used - sizeof(record) < record.size)
			break;
		code = fn(&record, buffer + used + sizeof(record), ctx);
		used += sizeof(record) + record.size;
	}
	*ret_used = used;
	return code;
}

int object_rows(const struct object *o, const char *program, record_fn *fn, void *ctx,
		struct err *e)
{
	size_t cap = ROWS_BUFFER_BYTES, len = 0, used;
	auto_free char *buffer = xmalloc(cap);
	auto_close int fd = iterator_open(o, program, e);
	ssize_t n;
	int code;

	if (fd < 0)
		return -e->code;
	for (;;) {
		n = read(fd, buffer + len, cap - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return fail(e, errno, "iterator '%s': %s", program, strerror(errno));
		if (!n)
			return len ? fail(e, EIO, "iterator '%s': its last row is cut off", program)
				   : 0;
		len += (size_t)n;
		code = rows_hand_out(buffer, len, fn, ctx, &used);
		if (code)
			return code;
		memmove(buffer, buffer + used, len - used);
		len -= used;
		if (len == cap && cap >= ROW_MAX)
			return fail(e, E2BIG, "iterator '%s': a row is too large", program);
		if (len == cap)
			buffer = xrealloc(buffer, cap *= 2);
	}
}

static int record_drop(const struct record *record, const void *bytes, void *ctx)
{
	(void)record;
	(void)bytes;
	(void)ctx;
	return 0;
}

int object_run(const struct object *o, const char *program, struct err *e)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int fd = object_program_fd(o, program);

	if (fd < 0)
		return fail(e, ENOENT, "'%s' runs no program '%s'", o->name, program);
	if (is_iterator(program_part_find(o, program)))
		return object_rows(o, program, record_drop, NULL, e);
	if (bpf_prog_test_run_opts(fd, &opts))
		return fail(e, errno, "program '%s': %s", program, strerror(errno));
	return 0;
}
