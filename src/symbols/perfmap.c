/* SPDX-License-Identifier: BSD-2-Clause */
/* Perf maps. */
#include "symbols/perfmap.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "symbols/lines.h"
#include "symbols/symtab.h"

#define REREAD_NS 500000000ULL

struct perfmap {
	uint32_t pid;
	uint64_t read_ns; /* 0: not yet */
	off_t size;       /* of the file then */
	struct symtab *symbols;
};

struct perfmap *perfmap_new(uint32_t pid)
{
	struct perfmap *m = xnew(struct perfmap);

	m->pid = pid;
	return m;
}

void perfmap_free(struct perfmap *m)
{
	if (!m)
		return;
	symtab_free(m->symbols);
	free(m);
}

struct symtab *perfmap_parse(const char *text, size_t len)
{
	struct symtab *t = symtab_new();
	const char *at = text, *line;
	struct symbol_line l;
	size_t line_len;

	symtab_later_wins(t);
	while (line_next(&at, text + len, &line, &line_len))
		if (perfmap_line_parse(line, line_len, &l))
			symtab_add(t, l.start, l.size, l.name, l.name_len, "", 0);
	symtab_finish(t);
	return t;
}

/* Its number in its own pid namespace. */
static uint32_t own_number(uint32_t pid)
{
	auto_free char *text = NULL;
	char path[64];
	struct err ignored;
	const char *line, *end;

	str_format(path, sizeof(path), "/proc/%u/status", pid);
	if (file_read(path, &text, NULL, &ignored) < 0)
		return pid;
	line = strstr(text, "\nNStgid:");
	if (!line)
		return pid;
	end = strchrnul(line + 1, '\n');
	while (end > line && end[-1] != '\t' && end[-1] != ' ')
		end--;
	return (uint32_t)strtoul(end, NULL, 10) ?: pid;
}

/* In its own file system, or, when it has ended, in ours. */
static int map_open(uint32_t pid)
{
	char path[96];
	int fd;

	str_format(path, sizeof(path), "/proc/%u/root/tmp/perf-%u.map", pid, own_number(pid));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	str_format(path, sizeof(path), "/tmp/perf-%u.map", pid);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
}

static void map_read(struct perfmap *m)
{
	auto_close int fd = map_open(m->pid);
	auto_free char *text = NULL;
	struct err ignored;
	size_t len = 0;
	struct stat s;

	if (fd < 0 || fstat(fd, &s) || !S_ISREG(s.st_mode) || s.st_size == m->size)
		return;
	if (file_read_fd(fd, "perf map", &text, &len, &ignored) < 0)
		return;
	m->size = s.st_size;
	symtab_free(m->symbols);
	m->symbols = perfmap_parse(text, len);
}

struct symtab *perfmap_symbols(struct perfmap *m, uint64_t address)
{
	uint64_t now_ns = clock_boot_ns();
	struct symbol found;

	if (m->symbols && symtab_find(m->symbols, address, &found))
		return m->symbols;
	if (!m->read_ns || now_ns - m->read_ns > REREAD_NS) {
		m->read_ns = now_ns;
		map_read(m);
	}
	return m->symbols;
}
