/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of address spaces. A space is shared after a fork until one of both maps something; a process
 * remembers the last few, for rows that come late.
 */
#include "symbols/spaces.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/lru.h"
#include "base/str.h"
#include "base/vec.h"
#include "symbols/files.h"
#include "symbols/lines.h"
#include "symbols/perfmap.h"
#include "symbols/symtab.h"

#define PROCESSES_MAX 16384
#define MAPPINGS_MAX  4096 /* of a process: of more the oldest half is forgotten */
#define SPACES        3    /* of a process: how many execs back */
#define REREAD_NS     500000000ULL

struct mapping {
	uint64_t start, end, offset;
	uint64_t from_ns; /* 0: it was there when we came */
	struct mapped_file *file;
};

struct space {
	unsigned users;
	struct files *files;
	vec(struct mapping) at; /* the latest one last */
};

struct process {
	uint32_t pid;
	uint64_t read_ns; /* when /proc was asked last; 0: never */
	struct period {
		uint64_t from_ns;
		struct space *space;
	} periods[SPACES]; /* latest first */
	struct perfmap *perf_map;
};

struct spaces {
	struct files *files;
	struct lru *by_pid;
};

static struct space *space_new(struct files *files)
{
	struct space *s = xnew(struct space);

	s->users = 1;
	s->files = files;
	return s;
}

static void space_drop(struct space *s)
{
	if (!s || --s->users)
		return;
	vec_for_each(m, &s->at)
		files_drop(s->files, m->file);
	vec_done(&s->at);
	free(s);
}

static struct space *space_copy(const struct space *from)
{
	struct space *s = space_new(from->files);

	vec_for_each(m, &from->at) {
		files_use(m->file);
		vec_push(&s->at, *m);
	}
	return s;
}

/* Takes over the use of the file. */
static void space_add(struct space *s, const struct mapping *added)
{
	if (s->at.len >= MAPPINGS_MAX) {
		for (size_t i = 0; i < MAPPINGS_MAX / 2; i++)
			files_drop(s->files, s->at.at[i].file);
		s->at.len -= MAPPINGS_MAX / 2;
		memmove(s->at.at, s->at.at + MAPPINGS_MAX / 2, s->at.len * sizeof(*s->at.at));
	}
	vec_push(&s->at, *added);
}

/* The latest mapping that was there then; else one that came a little later. */
static const struct mapping *space_find(const struct space *s, uint64_t at_ns, uint64_t address)
{
	const struct mapping *later = NULL;

	for (size_t i = s->at.len; i; i--) {
		const struct mapping *m = &s->at.at[i - 1];

		if (address < m->start || address >= m->end)
			continue;
		if (m->from_ns <= at_ns)
			return m;
		later = m;
	}
	return later;
}

static void process_free(void *value)
{
	struct process *p = value;

	for (size_t i = 0; i < SPACES; i++)
		space_drop(p->periods[i].space);
	perfmap_free(p->perf_map);
	free(p);
}

struct spaces *spaces_new(struct files *files)
{
	struct spaces *s = xnew(struct spaces);

	s->files = files;
	s->by_pid = lru_new(PROCESSES_MAX, process_free);
	return s;
}

void spaces_free(struct spaces *s)
{
	if (!s)
		return;
	lru_free(s->by_pid);
	free(s);
}

static struct process *process_new(struct spaces *s, uint32_t pid)
{
	struct process *p = xnew(struct process);

	p->pid = pid;
	lru_put(s->by_pid, pid, p);
	return p;
}

static struct process *process_get(struct spaces *s, uint32_t pid)
{
	return lru_get(s->by_pid, pid) ?: process_new(s, pid);
}

/* Takes over the use of the space. */
static void process_begins(struct process *p, uint64_t from_ns, struct space *space)
{
	space_drop(p->periods[SPACES - 1].space);
	memmove(&p->periods[1], &p->periods[0], sizeof(p->periods) - sizeof(p->periods[0]));
	p->periods[0] = (struct period){ from_ns, space };
}

/* The space that it had then; else its first one that is known. */
static const struct space *process_space(const struct process *p, uint64_t at_ns)
{
	const struct space *space = NULL;

	for (size_t i = 0; i < SPACES && p->periods[i].space; i++) {
		space = p->periods[i].space;
		if (p->periods[i].from_ns <= at_ns)
			break;
	}
	return space;
}

/* The space that it has now, for writing. */
static struct space *process_own_space(struct spaces *s, struct process *p, uint64_t at_ns)
{
	struct space *now = p->periods[0].space;

	if (!now) {
		now = space_new(s->files);
		process_begins(p, at_ns, now);
	} else if (now->users > 1) {
		now->users--;
		now = p->periods[0].space = space_copy(now);
	}
	return now;
}

static bool is_known(const struct space *s, const struct maps_line *l)
{
	const struct mapping *m = space_find(s, UINT64_MAX, l->start);

	return m && m->start == l->start && m->end >= l->end && m->file->inode == l->inode;
}

/* What it has mapped now, besides what is known of it already. */
static void process_read(struct spaces *s, struct process *p, uint64_t from_ns)
{
	auto_free char *text = NULL;
	char path[64];
	size_t len = 0, line_len;
	struct err ignored;
	const char *at, *line;
	struct maps_line l;

	p->read_ns = clock_boot_ns();
	str_format(path, sizeof(path), "/proc/%u/maps", p->pid);
	if (file_read(path, &text, &len, &ignored) < 0)
		return;
	at = text;
	while (line_next(&at, text + len, &line, &line_len)) {
		struct space *space;

		if (!maps_line_parse(line, line_len, &l) || !l.executable)
			continue;
		space = process_own_space(s, p, from_ns);
		if (is_known(space, &l))
			continue;
		space_add(space, &(struct mapping){ .start = l.start,
						    .end = l.end,
						    .offset = l.offset,
						    .from_ns = from_ns,
						    .file = files_get(s->files, l.path, l.path_len,
								      l.major, l.minor, l.inode,
								      p->pid, l.start, l.end) });
	}
}

static int prime_one(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct spaces *s = ctx;

	(void)dir_fd, (void)type, (void)e;
	if (name[0] >= '1' && name[0] <= '9')
		process_read(s, process_get(s, (uint32_t)strtoul(name, NULL, 10)), 0);
	return 0;
}

int spaces_prime(struct spaces *s, struct err *e)
{
	return dir_each("/proc", prime_one, s, e);
}

void spaces_fork(struct spaces *s, uint32_t pid, uint32_t ppid, uint64_t at_ns)
{
	struct process *parent = lru_get(s->by_pid, ppid), *p;
	struct space *shared = parent ? parent->periods[0].space : NULL;

	if (pid == ppid)
		return; /* a thread */
	if (shared)
		shared->users++; /* before putting the new one may evict the parent */
	p = process_new(s, pid);
	p->read_ns = at_ns;
	if (shared)
		process_begins(p, at_ns, shared);
}

void spaces_exec(struct spaces *s, uint32_t pid, uint64_t at_ns)
{
	struct process *p = process_get(s, pid);

	process_begins(p, at_ns, space_new(s->files));
	p->read_ns = at_ns;
	perfmap_free(p->perf_map);
	p->perf_map = NULL;
}

void spaces_map(struct spaces *s, const struct mapping_told *told)
{
	struct process *p = process_get(s, told->pid);
	struct space *space = process_own_space(s, p, told->at_ns);

	if (told->bytes > UINT64_MAX - told->start)
		return;
	space_add(space, &(struct mapping){ .start = told->start,
					    .end = told->start + told->bytes,
					    .offset = told->offset,
					    .from_ns = told->at_ns,
					    .file = files_get(s->files, told->path, told->path_len,
							      told->major, told->minor, told->inode,
							      told->pid, told->start,
							      told->start + told->bytes) });
}

struct mapped_file *spaces_find(struct spaces *s, uint32_t pid, uint64_t at_ns, uint64_t address,
				uint64_t *ret_offset)
{
	struct process *p = process_get(s, pid);
	const struct space *space = process_space(p, at_ns);
	const struct mapping *m = space ? space_find(space, at_ns, address) : NULL;

	if (!m && (!p->read_ns || clock_boot_ns() - p->read_ns > REREAD_NS)) {
		process_read(s, p, 0);
		space = process_space(p, at_ns);
		m = space ? space_find(space, at_ns, address) : NULL;
	}
	if (!m)
		return NULL;
	*ret_offset = address - m->start + m->offset;
	return m->file;
}

struct symtab *spaces_perf_map(struct spaces *s, uint32_t pid, uint64_t address)
{
	struct process *p = process_get(s, pid);

	if (!p->perf_map)
		p->perf_map = perfmap_new(pid);
	return perfmap_symbols(p->perf_map, address);
}
